// The OpenSSL library context that handshakes run in. To read the key of a certificate OpenSSL 3.0
// walks through every decoder that its providers have, which was two fifths of the instructions of
// a handshake. This context has all that OpenSSL's default provider has but the decoders that no
// certificate of a peer can need.
#pragma once

#include <openssl/types.h>

namespace remora::tls {

/// Made by the first call and never destroyed; any thread. Null, which is OpenSSL's default
/// context, should it not be possible to make.
OSSL_LIB_CTX* handshake_library();

}  // namespace remora::tls
