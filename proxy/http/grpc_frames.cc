#include "proxy/http/grpc_frames.h"

#include <absl/container/inlined_vector.h>

#include <algorithm>

namespace remora::http {

size_t GrpcFrames::advance(std::string_view bytes) {
  constexpr uint8_t kHeaderBytes = 5;
  size_t at = 0;
  while (at < bytes.size() && left_ == 0) {
    if (header_bytes_ == 0) ++begun_;
    if (header_bytes_ > 0) length_ = length_ << 8 | static_cast<unsigned char>(bytes[at]);
    ++at;
    if (++header_bytes_ < kHeaderBytes) continue;
    left_ = length_;
    length_ = 0;
    header_bytes_ = 0;
    if (left_ == 0) return at;  // an empty message
  }
  const size_t taken = std::min<size_t>(left_, bytes.size() - at);
  left_ -= static_cast<uint32_t>(taken);
  return at + taken;
}

uint64_t GrpcFrames::follow(const Buffer& body) {
  const uint64_t before = begun_;
  absl::InlinedVector<iovec, 16> runs(body.slice_count());
  body.gather(runs.data(), static_cast<int>(runs.size()));
  for (const iovec& run : runs) {
    std::string_view rest(static_cast<const char*>(run.iov_base), run.iov_len);
    while (!rest.empty()) rest.remove_prefix(advance(rest));
  }
  return begun_ - before;
}

}  // namespace remora::http
