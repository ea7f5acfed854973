# Build directories and the options of each; sourced by ./dev.

# build_dir release|clang|asan|tsan|coverage: configures the directory if need be and builds it; DIR/colobus is the broker.
build_dir() {
    local dir=build-$1 cc=gcc options=() stamp out
    case $1 in
    release)
        dir=build
        options=(-Dbuildtype=release)
        if [ -n "${COLOBUS_WERROR:-}" ]; then options+=(-Dwerror=true); fi
        ;;
    clang)
        cc=clang
        options=(-Dbuildtype=release -Dwerror=true)
        ;;
    asan) # clang, because the fuzz targets link with its libFuzzer
        cc=clang
        options=(-Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false -Dfuzzers=true)
        ;;
    tsan)
        options=(-Dbuildtype=debugoptimized -Db_sanitize=thread -Dload=disabled) # librdkafka is not instrumented
        ;;
    coverage)
        options=(-Dbuildtype=debug -Db_coverage=true)
        ;;
    esac
    stamp="$cc ${options[*]}"
    if [ ! -f "$dir/build.ninja" ]; then
        out=$(CC=$cc meson setup "$dir" "${options[@]}" 2>&1) || {
            echo "$out" >&2
            return 1
        }
    elif [ "$(cat "$dir/.dev-options" 2>/dev/null)" != "$stamp" ]; then
        meson configure "$dir" "${options[@]}" >/dev/null
    fi
    echo "$stamp" >"$dir/.dev-options"
    ninja -C "$dir" --quiet
    ln -sf src/app/colobus "$dir/colobus"
}
