# Debian packages that the project needs, by purpose; sourced by ./dev.
# A line is `package` or `command:package`; the second asks only whether the command is there, so that a
# compiler or JDK from elsewhere counts.

packages_for() {
    case $1 in
    build)
        echo gcc:gcc libc6-dev meson:meson ninja:ninja-build pkg-config:pkg-config python3:python3 \
            libuv1-dev libzstd-dev liblz4-dev libsnappy-dev zlib1g-dev libisal-dev libxxhash-dev \
            libssl-dev libpcre2-dev libjansson-dev libinih-dev libcmocka-dev
        ;;
    test)
        echo clang:clang libclang-rt-14-dev clang-format:clang-format kcat:kcat librdkafka-dev openssl:openssl \
            strace:strace javac:default-jdk-headless mvn:maven python3-venv \
            go:golang-go node:nodejs npm:npm redis-cli:redis-tools
        ;;
    rival) echo epmd:erlang-base rabbitmq-server strace:strace ;; # what ./dev bench amqp compares with
    redis) echo redis-benchmark:redis-tools strace:strace ;; # ./dev bench redis: the server's program, without its service
    fmt) echo clang-format:clang-format ;;
    coverage) echo gcovr:gcovr ;;
    esac
}

# Prints those of the given entries that this machine lacks, as package names.
missing_packages() {
    local entry
    for entry in "$@"; do
        case $entry in
        *:*) command -v "${entry%%:*}" >/dev/null 2>&1 || echo "${entry#*:}" ;;
        *) dpkg-query -W -f='${Status}\n' "$entry" 2>/dev/null | grep -q '^install ok installed$' || echo "$entry" ;;
        esac
    done
}

# install_packages PURPOSE...: asks the package manager only if something is missing.
install_packages() {
    local purpose entries wanted=() missing=() sudo=()
    for purpose in "$@"; do
        read -r -a entries <<<"$(packages_for "$purpose" | tr '\n' ' ')"
        wanted+=("${entries[@]}")
    done
    if ! command -v dpkg-query >/dev/null 2>&1; then
        return 0 # not Debian: the build itself says what it misses
    fi
    mapfile -t missing < <(missing_packages "${wanted[@]}")
    if [ ${#missing[@]} -eq 0 ]; then
        return 0
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "./dev: please install as root: ${missing[*]}" >&2
            exit 1
        fi
        sudo=(sudo)
    fi
    echo "./dev: installing ${missing[*]}" >&2
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q update >&2
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}" >&2
}
