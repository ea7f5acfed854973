#include <errno.h>

#include "base/err.h"
#include "os/real/real.h"

int real_file_err(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case EMFILE:
    case ENFILE:
        return ERR_LIMIT;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    default:
        return ERR_IO;
    }
}

int real_sock_err(int uv_err)
{
    switch (uv_err) {
    case UV_EPIPE:
    case UV_ECONNRESET:
    case UV_ECONNABORTED:
    case UV_ENOTCONN:
    case UV_ECANCELED:
    case UV_EOF:
        return ERR_CLOSED;
    case UV_EADDRINUSE:
        return ERR_EXISTS;
    case UV_EACCES:
    case UV_EPERM:
        return ERR_DENIED;
    case UV_EMFILE:
    case UV_ENFILE:
        return ERR_LIMIT;
    case UV_EINVAL:
    case UV_EADDRNOTAVAIL:
    case UV_EAFNOSUPPORT:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}
