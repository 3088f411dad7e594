// Follows gRPC's framing through a body in pieces of random sizes: it must not matter how the body
// is cut, and every byte is accounted for.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proxy/http/grpc_frames.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = data[0] % 64 + 1;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  remora::BlockPool pool;
  remora::http::GrpcFrames whole, pieces;
  remora::Buffer all(pool);
  all.append(body);
  const uint64_t begun = whole.follow(all);
  if (all.size() != body.size() || begun > body.size()) std::abort();
  for (size_t at = 0; at < body.size(); at += piece) {
    std::string_view rest = body.substr(at, piece);
    while (!rest.empty()) {
      const size_t taken = pieces.advance(rest);
      if (taken == 0 || taken > rest.size()) std::abort();
      rest.remove_prefix(taken);
    }
  }
  if (pieces.begun() != begun || pieces.between() != whole.between()) std::abort();
  return 0;
}
