// A key set as a server of keys may send it: no crash, and none of its keys takes a signature that
// nobody made. What stands behind the last line end of the input is the signature.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proxy/tls/jwk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using remora::tls::KeySet;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view signature;
  if (const size_t end = text.rfind('\n'); end != std::string_view::npos) {
    signature = text.substr(end + 1);
    text = text.substr(0, end);
  }
  const auto keys = KeySet::parse(text);
  if (!keys.ok()) return 0;
  if ((*keys)->size() == 0 || (*keys)->size() > remora::tls::kMaxKeys) std::abort();
  for (const std::string_view algorithm : {"RS256", "RS512", "PS384", "ES256", "ES384", "ES512",
                                           "HS256", "HS512", "EdDSA", "none", ""}) {
    const auto verdict = (*keys)->verify(algorithm, "", "a.b", signature);
    if (verdict == KeySet::Verdict::Verified) std::abort();
    if (algorithm.size() < 5 && verdict != KeySet::Verdict::NoKey) std::abort();
  }
  return 0;
}
