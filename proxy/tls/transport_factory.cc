// Factories of TLS transports. Immutable, but for what each thread keeps for itself.
#include "proxy/tls/transport_factory.h"

#include <cerrno>
#include <utility>

#include "proxy/tls/tls_transport.h"

namespace remora::tls {
namespace {

/// Secrets have not come: every connection fails, and none goes on in plain text.
class NotReadyTransport final : public Transport {
 public:
  IoResult read(Buffer&, size_t, bool) override { return refused(); }
  IoResult write(Buffer&, bool) override { return refused(); }
  bool start() override { return false; }
  bool ready() const override { return false; }
  std::string_view negotiated_protocol() const override { return {}; }
  std::string_view failure_reason() const override {
    return "TLS error: Secret is not supplied by SDS";
  }
  bool secure() const override { return true; }

 private:
  static IoResult refused() {
    errno = ECONNABORTED;
    IoResult result;
    result.next = IoResult::Next::Error;
    return result;
  }
};

class ServerFactory final : public Factory {
 public:
  ServerFactory(std::shared_ptr<ContextSlots> slots, std::shared_ptr<TlsStats> stats,
                std::vector<ResourceRef> secrets)
      : Factory(std::move(slots), std::move(stats), std::move(secrets)),
        state_(std::make_shared<FactoryState>(slots_, stats_)) {}

  std::unique_ptr<Transport> make(int fd, const TransportOptions& options) const override {
    const ContextPtr& context = slots_->at(options.worker);
    if (context == nullptr) return std::make_unique<NotReadyTransport>();
    return std::make_unique<TlsTransport>(fd, state_, context, options.worker);
  }

 private:
  const std::shared_ptr<const FactoryState> state_;
};

class ClientFactory final : public Factory {
 public:
  ClientFactory(ClientSettings settings, std::shared_ptr<ContextSlots> slots,
                std::shared_ptr<TlsStats> stats, std::vector<ResourceRef> secrets)
      : Factory(std::move(slots), std::move(stats), std::move(secrets)),
        settings_(std::move(settings)),
        state_(std::make_shared<FactoryState>(slots_, stats_)) {}

  std::unique_ptr<Transport> make(int fd, const TransportOptions& options) const override {
    const ContextPtr& context = slots_->at(options.worker);
    if (context == nullptr) return std::make_unique<NotReadyTransport>();
    auto transport = std::make_unique<TlsTransport>(fd, state_, context, options.worker);
    transport->set_client(settings_, options);
    return transport;
  }

 private:
  const ClientSettings settings_;
  const std::shared_ptr<const FactoryState> state_;
};

}  // namespace

std::shared_ptr<const Factory> server_factory(ServerSettings, std::shared_ptr<ContextSlots> slots,
                                              std::shared_ptr<TlsStats> stats,
                                              std::vector<ResourceRef> secrets) {
  return std::make_shared<ServerFactory>(std::move(slots), std::move(stats), std::move(secrets));
}

std::shared_ptr<const Factory> client_factory(ClientSettings settings,
                                              std::shared_ptr<ContextSlots> slots,
                                              std::shared_ptr<TlsStats> stats,
                                              std::vector<ResourceRef> secrets) {
  return std::make_shared<ClientFactory>(std::move(settings), std::move(slots), std::move(stats),
                                         std::move(secrets));
}

bool still_trusted(const Transport& transport, uint32_t thread) {
  const auto* ours = dynamic_cast<const TlsTransport*>(&transport.innermost());
  return ours == nullptr || ours->still_trusted(thread);
}

}  // namespace remora::tls
