// Framing over Buffer, and a protobuf input stream over its blocks.
#include "xds/grpc_frame.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream.h>

#include <algorithm>
#include <climits>

namespace remora::xds {
namespace {

constexpr size_t kPrefixBytes = 5;

/// The first `limit` bytes of a buffer. Taken off as they are read.
class BufferInput final : public google::protobuf::io::ZeroCopyInputStream {
 public:
  BufferInput(Buffer& buffer, size_t limit) : buffer_(buffer), left_(limit) {}
  ~BufferInput() override { drop(); }

  bool Next(const void** data, int* size) override {
    drop();
    if (left_ == 0) return false;
    const std::string_view run = buffer_.front().substr(0, std::min<size_t>(left_, INT_MAX));
    *data = run.data();
    *size = static_cast<int>(run.size());
    given_ = run.size();
    left_ -= run.size();
    return true;
  }
  void BackUp(int count) override {
    given_ -= static_cast<size_t>(count);
    left_ += static_cast<size_t>(count);
  }
  bool Skip(int count) override {
    drop();
    const size_t bytes = std::min(left_, static_cast<size_t>(count));
    buffer_.consume(bytes);
    read_ += bytes;
    left_ -= bytes;
    return bytes == static_cast<size_t>(count);
  }
  int64_t ByteCount() const override { return static_cast<int64_t>(read_ + given_); }
  void finish() {
    drop();
    buffer_.consume(left_);
    left_ = 0;
  }

 private:
  void drop() {
    buffer_.consume(given_);
    read_ += given_;
    given_ = 0;
  }

  Buffer& buffer_;
  size_t left_;
  size_t given_ = 0;  // handed out by the last Next(), still in the buffer
  size_t read_ = 0;
};

}  // namespace

void append_grpc_message(const google::protobuf::MessageLite& message, Buffer& out) {
  const std::string bytes = message.SerializeAsString();
  const auto length = static_cast<uint32_t>(bytes.size());
  const char prefix[kPrefixBytes] = {0, static_cast<char>(length >> 24),
                                     static_cast<char>(length >> 16),
                                     static_cast<char>(length >> 8), static_cast<char>(length)};
  out.append({prefix, kPrefixBytes});
  out.append(bytes);
}

GrpcDecoder::Next GrpcDecoder::next(Buffer& input) {
  if (!has_prefix_) {
    if (input.size() < kPrefixBytes) return Next::NeedMore;
    unsigned char prefix[kPrefixBytes];
    input.copy_out(0, kPrefixBytes, reinterpret_cast<char*>(prefix));
    if (prefix[0] != 0) return Next::Compressed;
    message_bytes_ = uint32_t{prefix[1]} << 24 | uint32_t{prefix[2]} << 16 |
                     uint32_t{prefix[3]} << 8 | prefix[4];
    if (message_bytes_ > max_message_bytes_) return Next::TooLarge;
    input.consume(kPrefixBytes);
    has_prefix_ = true;
  }
  return input.size() < message_bytes_ ? Next::NeedMore : Next::Message;
}

bool GrpcDecoder::parse(Buffer& input, google::protobuf::MessageLite* out) {
  BufferInput stream(input, message_bytes_);
  has_prefix_ = false;
  bool ok;
  {
    google::protobuf::io::CodedInputStream coded(&stream);
    coded.SetTotalBytesLimit(INT_MAX);
    ok = out->ParseFromCodedStream(&coded) && coded.ConsumedEntireMessage();
  }
  stream.finish();
  return ok;
}

}  // namespace remora::xds
