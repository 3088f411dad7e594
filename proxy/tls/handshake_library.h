// The OpenSSL library context that handshakes run in. To read the key of a certificate OpenSSL 3.0
// walks through every decoder and every kind of key that its providers have, which was half of the
// instructions of a handshake. This context has OpenSSL's own algorithms, of its default provider,
// without the decoders and kinds of keys that no certificate of a peer can need.
#pragma once

#include <openssl/types.h>

namespace remora::tls {

/// Made by the first call and never destroyed; any thread. Null, which is OpenSSL's default
/// context, should it not be possible to make.
OSSL_LIB_CTX* handshake_library();

}  // namespace remora::tls
