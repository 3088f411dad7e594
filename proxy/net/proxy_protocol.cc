// Writing PROXY headers; see the header. The worker's thread.
#include "proxy/net/proxy_protocol.h"

#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "proxy/net/connection_facts.h"
#include "proxy/net/socket.h"

namespace remora {
namespace {

using Version = ProxyProtocolSettings::Version;

constexpr std::string_view kSignatureV2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr char kLocalCommand = 0x20;
constexpr char kProxyCommand = 0x21;
constexpr size_t kExtensionHead = 3;
constexpr size_t kMaxContentBytes = 0xffff;

void append_number16(size_t number, std::string& out) {
  out.push_back(static_cast<char>(number >> 8));
  out.push_back(static_cast<char>(number));
}

/// Both ends of a TCP connection over one version of IP can be told, and nothing else.
bool can_be_told(const Address& source, const Address& destination) {
  return source.is_ip() && source.family() == destination.family();
}

std::string header_v1(const Address& source, const Address& destination) {
  if (!can_be_told(source, destination)) return "PROXY UNKNOWN\r\n";
  std::string out = source.family() == Address::Family::V4 ? "PROXY TCP4 " : "PROXY TCP6 ";
  out += source.ip_string() + " " + destination.ip_string() + " ";
  out += std::to_string(source.port()) + " " + std::to_string(destination.port()) + "\r\n";
  return out;
}

/// Extensions that would make the header longer than can be said are left out.
void append_extension(uint8_t type, std::string_view value, std::string& content) {
  if (content.size() + kExtensionHead + value.size() > kMaxContentBytes) return;
  content.push_back(static_cast<char>(type));
  append_number16(value.size(), content);
  content.append(value);
}

void append_passed_on(const ProxyProtocolSettings& settings, const ConnectionFacts& downstream,
                      std::string& content) {
  const std::string* kept = downstream.filter_state.find(kProxyProtocolExtensions);
  if (kept == nullptr || settings.pass_through.none()) return;
  std::bitset<256> wanted = settings.pass_through;
  for (const auto& extension : settings.added) wanted.reset(extension.type);
  std::string_view rest = *kept;
  while (rest.size() >= kExtensionHead) {
    const auto type = static_cast<uint8_t>(rest[0]);
    const size_t length =
        static_cast<size_t>(static_cast<uint8_t>(rest[1])) << 8 | static_cast<uint8_t>(rest[2]);
    const std::string_view value = rest.substr(kExtensionHead, length);
    if (wanted[type]) append_extension(type, value, content);
    rest.remove_prefix(kExtensionHead + value.size());
  }
}

std::string header_v2(const ProxyProtocolSettings& settings, const ConnectionFacts* downstream) {
  std::string out(kSignatureV2);
  if (downstream == nullptr || !can_be_told(downstream->remote, downstream->local)) {
    out.push_back(kLocalCommand);
    out.append(3, '\0');
    return out;
  }
  out.push_back(kProxyCommand);
  out.push_back(downstream->remote.family() == Address::Family::V4 ? 0x11 : 0x21);
  std::string content(downstream->remote.ip_bytes());
  content.append(downstream->local.ip_bytes());
  append_number16(downstream->remote.port(), content);
  append_number16(downstream->local.port(), content);
  for (const auto& extension : settings.added) {
    append_extension(extension.type, extension.value, content);
  }
  append_passed_on(settings, *downstream, content);
  append_number16(content.size(), out);
  return out + content;
}

/// Nothing of the inner transport starts before the header is out.
class ProxyProtocolTransport final : public Transport {
 public:
  /// `header`: empty for version 1 of the proxy's own connection, whose addresses are known when it
  /// stands.
  ProxyProtocolTransport(int fd, std::string header, std::unique_ptr<Transport> inner)
      : fd_(fd), inner_(std::move(inner)), header_(std::move(header)) {}

  bool start() override {
    if (header_.empty()) header_ = header_v1(local_address_of(fd_), peer_address_of(fd_));
    return send_header() == IoResult::Next::Ok && inner_->ready();
  }
  bool ready() const override { return started_ && inner_->ready(); }

  IoResult read(Buffer& into, size_t max_bytes, bool peer_hung_up) override {
    if (const auto next = send_header(); next != IoResult::Next::Ok) return {.next = next};
    return inner_->read(into, max_bytes, peer_hung_up);
  }
  IoResult write(Buffer& from, bool end_stream) override {
    if (const auto next = send_header(); next != IoResult::Next::Ok) return {.next = next};
    return inner_->write(from, end_stream);
  }

  std::string_view negotiated_protocol() const override { return inner_->negotiated_protocol(); }
  std::string_view failure_reason() const override { return inner_->failure_reason(); }
  bool secure() const override { return inner_->secure(); }
  const TlsFacts* tls() const override { return inner_->tls(); }
  const Transport& innermost() const override { return inner_->innermost(); }

 private:
  IoResult::Next send_header() {
    if (started_) return IoResult::Next::Ok;
    while (sent_ < header_.size()) {
      const ssize_t sent =
          ::send(fd_, header_.data() + sent_, header_.size() - sent_, MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN ? IoResult::Next::WouldBlock : IoResult::Next::Error;
      sent_ += static_cast<size_t>(sent);
    }
    started_ = true;
    header_ = {};
    inner_->start();
    return IoResult::Next::Ok;
  }

  const int fd_;
  const std::unique_ptr<Transport> inner_;
  std::string header_;
  size_t sent_ = 0;
  bool started_ = false;
};

class ProxyProtocolFactory final : public TransportFactory {
 public:
  ProxyProtocolFactory(ProxyProtocolSettings settings,
                       std::shared_ptr<const TransportFactory> inner)
      : settings_(std::move(settings)), inner_(std::move(inner)) {}

  std::unique_ptr<Transport> make(int fd, const TransportOptions& options) const override {
    std::string header;
    if (options.downstream != nullptr || settings_.version == Version::V2) {
      header = proxy_protocol_header(settings_, options.downstream, {}, {});
    }
    return std::make_unique<ProxyProtocolTransport>(fd, std::move(header),
                                                    inner_->make(fd, options));
  }
  bool secure() const override { return inner_->secure(); }
  std::vector<ResourceRef> secrets() const override { return inner_->secrets(); }
  bool tells_downstream() const override { return true; }

 private:
  const ProxyProtocolSettings settings_;
  const std::shared_ptr<const TransportFactory> inner_;
};

}  // namespace

std::string proxy_protocol_header(const ProxyProtocolSettings& settings,
                                  const ConnectionFacts* downstream, const Address& own,
                                  const Address& peer) {
  if (settings.version == Version::V2) return header_v2(settings, downstream);
  return downstream == nullptr ? header_v1(own, peer)
                               : header_v1(downstream->remote, downstream->local);
}

std::shared_ptr<const TransportFactory> proxy_protocol_transport_factory(
    ProxyProtocolSettings settings, std::shared_ptr<const TransportFactory> inner) {
  return std::make_shared<ProxyProtocolFactory>(std::move(settings), std::move(inner));
}

}  // namespace remora
