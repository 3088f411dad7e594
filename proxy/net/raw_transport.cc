// Plain bytes over a stream socket. One per connection, its worker's thread.
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "proxy/net/transport.h"

namespace remora {
namespace {

/// A tail block with less room than this is left alone: a read of a few bytes costs as much as a
/// big one.
constexpr size_t kMinReadBytes = 2048;
/// A peer that filled one block is read four at a time.
constexpr int kBulkBlocks = 4;
constexpr int kMaxIovecs = 64;

class RawTransport final : public Transport {
 public:
  explicit RawTransport(int fd) : fd_(fd) {}

  IoResult read(Buffer& into, size_t max_bytes, bool peer_hung_up) override {
    return bulk_ && max_bytes > Buffer::kMaxReserve ? read_bulk(into, max_bytes, peer_hung_up)
                                                    : read_block(into, max_bytes, peer_hung_up);
  }

  IoResult write(Buffer& from, bool end_stream) override {
    IoResult result;
    while (!from.empty()) {
      iovec pieces[kMaxIovecs];
      msghdr message = {};
      message.msg_iov = pieces;
      message.msg_iovlen = static_cast<size_t>(from.gather(pieces, kMaxIovecs));
      size_t offered = 0;
      for (size_t i = 0; i < message.msg_iovlen; ++i) offered += pieces[i].iov_len;
      const ssize_t sent = message.msg_iovlen == 1
                               ? ::send(fd_, pieces[0].iov_base, offered, MSG_NOSIGNAL)
                               : ::sendmsg(fd_, &message, MSG_NOSIGNAL);
      if (sent < 0) return failed(result);
      from.consume(static_cast<size_t>(sent));
      result.bytes += static_cast<size_t>(sent);
      if (static_cast<size_t>(sent) < offered) {
        result.next = IoResult::Next::WouldBlock;
        return result;
      }
    }
    if (end_stream) ::shutdown(fd_, SHUT_WR);
    return result;
  }

  bool start() override { return true; }
  bool ready() const override { return true; }
  std::string_view negotiated_protocol() const override { return {}; }
  std::string_view failure_reason() const override { return {}; }
  bool secure() const override { return false; }

 private:
  static IoResult failed(IoResult result) {
    result.next = errno == EAGAIN ? IoResult::Next::WouldBlock : IoResult::Next::Error;
    return result;
  }

  IoResult read_block(Buffer& into, size_t max_bytes, bool peer_hung_up) {
    const std::span<char> room = into.reserve(std::min(kMinReadBytes, max_bytes));
    const size_t wanted = std::min(room.size(), max_bytes);
    const ssize_t got = ::recv(fd_, room.data(), wanted, 0);
    into.commit(got > 0 ? static_cast<size_t>(got) : 0);
    return outcome(got, wanted, peer_hung_up);
  }

  IoResult read_bulk(Buffer& into, size_t max_bytes, bool peer_hung_up) {
    std::array<BlockRef, kBulkBlocks> blocks;
    iovec pieces[kBulkBlocks];
    size_t wanted = 0;
    int count = 0;
    for (; count < kBulkBlocks && wanted < max_bytes; ++count) {
      blocks[count] = into.pool().take();
      const size_t length = std::min<size_t>(blocks[count]->capacity, max_bytes - wanted);
      pieces[count] = {blocks[count]->data(), length};
      wanted += length;
    }
    const ssize_t got = ::readv(fd_, pieces, count);
    size_t left = got > 0 ? static_cast<size_t>(got) : 0;
    for (int i = 0; i < count && left > 0; ++i) {
      const size_t used = std::min(left, pieces[i].iov_len);
      blocks[i]->used = static_cast<uint32_t>(used);
      into.append_shared(blocks[i], {blocks[i]->data(), used});
      left -= used;
    }
    return outcome(got, wanted, peer_hung_up);
  }

  IoResult outcome(ssize_t got, size_t wanted, bool peer_hung_up) {
    IoResult result;
    if (got < 0) return failed(result);
    result.bytes = static_cast<size_t>(got);
    bulk_ = result.bytes == wanted;
    if (got == 0) {
      result.end_of_stream = true;
      result.next = IoResult::Next::WouldBlock;
    } else if (result.bytes < wanted && !peer_hung_up) {
      // Edge-triggered: what arrives from now on is a new edge, so no second call is needed to see
      // EAGAIN.
      result.next = IoResult::Next::WouldBlock;
    }
    return result;
  }

  const int fd_;
  bool bulk_ = false;  // the last read took all it asked for
};

class RawTransportFactory final : public TransportFactory {
 public:
  std::unique_ptr<Transport> make(int fd, const TransportOptions&) const override {
    return std::make_unique<RawTransport>(fd);
  }
  bool secure() const override { return false; }
};

}  // namespace

std::shared_ptr<const TransportFactory> raw_transport_factory() {
  return std::make_shared<RawTransportFactory>();
}

}  // namespace remora
