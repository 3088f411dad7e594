// The OpenSSL library context that handshakes run in. To read the key of a certificate OpenSSL 3.0
// walks through all that its context holds, which was two fifths of the instructions of a
// handshake. This one has of OpenSSL's default provider only what TLS and the certificates of peers
// can need.
#pragma once

#include <openssl/types.h>

namespace remora::tls {

/// Made by the first call and never destroyed; any thread. Null, which is OpenSSL's default
/// context, should it not be possible to make.
OSSL_LIB_CTX* handshake_library();

}  // namespace remora::tls
