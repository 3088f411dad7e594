// Connections and exchanges of health checks; see the header.
#include "proxy/upstream/health_probe.h"

#include <algorithm>
#include <utility>

#include "proxy/upstream/client_codec.h"

namespace remora::upstream {
namespace {

using http::HeaderId;
using Kind = CheckResult::Kind;

constexpr size_t kMaxGrpcBytes = 4096;
constexpr size_t kGrpcHeadBytes = 5;

bool in_ranges(uint16_t status, const std::vector<StatusRange>& ranges) {
  return std::ranges::any_of(
      ranges, [status](const StatusRange& r) { return status >= r.start && status < r.end; });
}

const Address& check_address(const Host& host, Address* made) {
  const EndpointExtras& extras = host.extras();
  const Address& base = extras.check_address ? extras.check_address : host.address();
  if (extras.check_port == 0) return base;
  *made = base.with_port(extras.check_port);
  return *made;
}

/// grpc.health.v1.HealthCheckRequest, framed.
std::string grpc_request(const std::string& service) {
  std::string message;
  if (!service.empty()) {
    message += '\x0a';  // field 1, a string
    size_t size = service.size();
    for (; size >= 0x80; size >>= 7) message += static_cast<char>(size | 0x80);
    message += static_cast<char>(size);
    message += service;
  }
  std::string out(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += static_cast<char>(message.size() >> shift & 0xff);
  }
  return out + message;
}

/// Whether a framed grpc.health.v1.HealthCheckResponse says SERVING.
bool says_serving(std::string_view body) {
  if (body.size() < kGrpcHeadBytes || body[0] != 0) return false;
  size_t size = 0;
  for (size_t i = 1; i < kGrpcHeadBytes; ++i) size = size << 8 | static_cast<uint8_t>(body[i]);
  body.remove_prefix(kGrpcHeadBytes);
  return size == body.size() && body == std::string_view("\x08\x01", 2);  // field 1: 1
}

}  // namespace

bool has_in_order(std::string_view bytes, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    const size_t at = bytes.find(part);
    if (at == std::string_view::npos) return false;
    bytes.remove_prefix(at + part.size());
  }
  return true;
}

/// A connection and its codec. Outlives the probe by the rest of a turn, as both may be on the
/// stack.
class ConnectionProbe::Channel final : public Deferrable,
                                       private ConnectionHandler,
                                       private http::ClientCodecHandler {
 public:
  Channel(ConnectionProbe& probe, Socket socket, std::unique_ptr<Transport> transport,
          int connect_error)
      : probe_(&probe),
        cluster_(probe.cluster_),
        connection_(probe.context_.loop(), std::move(socket), std::move(transport),
                    {probe.cluster_->per_connection_buffer_limit}) {
    connection_.set_id(probe.context_.next_connection_id());
    connection_.set_handler(*this);
    connection_.begin_connecting(connect_error, cluster_->connect_timeout_ms);
  }

  /// The probe wants it no more.
  void let_go() {
    probe_ = nullptr;
    end_codec(http::ResetReason::LocalReset);
    if (!connection_.closed()) connection_.close(CloseHow::NoFlush);
    connection_.loop().defer_delete(std::unique_ptr<Deferrable>(this));
  }
  bool connected() const { return connected_; }
  bool usable() const {
    return !draining_ && !connection_.closing() && (codec_ == nullptr || codec_->can_take_stream());
  }
  Connection& connection() { return connection_; }
  http::StreamSender& new_stream(http::StreamReceiver& receiver) {
    return codec_->new_stream(receiver);
  }

 private:
  void on_connected() override {
    connected_ = true;
    const HealthCheckConfig& config = *cluster_->health_check;
    if (config.kind != HealthCheckConfig::Kind::Tcp) {
      const HttpProtocol protocol = config.http2 ? HttpProtocol::Http2 : HttpProtocol::Http1;
      http::ClientCodecHandler& handler = *this;
      codec_ = make_client_codec(*cluster_, protocol, UINT32_MAX, connection_, handler, nullptr);
    }
    if (probe_ != nullptr) probe_->ask();
  }
  void on_data(Buffer& data, bool end_stream) override {
    if (probe_ == nullptr) return data.clear();
    if (codec_ == nullptr) {
      probe_->on_bytes(data);
    } else if (!codec_->dispatch(data, end_stream)) {
      failed_ = true;
    }
    if (probe_ != nullptr && (end_stream || failed_)) gone();
  }
  void on_closed(CloseCause) override {
    if (probe_ != nullptr) gone();
  }
  void gone() {
    draining_ = true;
    end_codec(http::ResetReason::ConnectionClosed);
    if (probe_ != nullptr) probe_->on_channel_closed();
  }
  void end_codec(http::ResetReason reason) {
    if (codec_ != nullptr && !std::exchange(codec_ended_, true)) {
      codec_->on_connection_closed(reason, "");
    }
  }
  void on_write_high_water() override {
    if (codec_ != nullptr) codec_->on_write_high_water();
  }
  void on_write_low_water() override {
    if (codec_ != nullptr) codec_->on_write_low_water();
  }
  void on_codec_draining() override { draining_ = true; }
  void on_stream_ended() override {}
  void on_codec_error(std::string_view) override { failed_ = draining_ = true; }

  ConnectionProbe* probe_;
  const std::shared_ptr<const ClusterConfig> cluster_;
  Connection connection_;
  std::unique_ptr<http::ClientCodec> codec_;
  bool connected_ = false;
  bool draining_ = false;  // no further check goes over it
  bool failed_ = false;    // nor does this one
  bool codec_ended_ = false;
};

ConnectionProbe::ConnectionProbe(WorkerContext& context,
                                 std::shared_ptr<const ClusterConfig> cluster, HostPtr host,
                                 CheckDone done)
    : context_(context),
      cluster_(std::move(cluster)),
      host_(std::move(host)),
      done_(std::move(done)),
      telling_(context.timers(), Timer::bind<&ConnectionProbe::tell, ConnectionProbe>(), this) {}

ConnectionProbe::~ConnectionProbe() {
  asking_ = false;
  drop_channel();
}

void ConnectionProbe::start() {
  asking_ = true;
  if (channel_ != nullptr && !channel_->usable()) drop_channel();
  if (channel_ == nullptr) return connect();
  ask();
}

void ConnectionProbe::give_up() {
  asking_ = broke_off_ = false;
  telling_.disarm();
  drop_channel();
}

void ConnectionProbe::connect() {
  const ConnectOptions options = {cluster_->bind_to, cluster_->keepalive, cluster_->socket_options};
  int error = 0;
  Address made;
  Socket socket = connect_to(check_address(*host_, &made), options, &error);
  TransportOptions transport;
  transport.worker = context_.index();
  transport.host_name = host_->hostname();
  transport.alpn = config().alpn;
  transport.alpn_decides = true;
  const uint32_t index = config().transport.value_or(host_->transport());
  const auto& chosen =
      index == 0 ? cluster_->transport : cluster_->transport_matches[index - 1].transport;
  const auto factory = chosen != nullptr ? chosen : raw_transport_factory();
  auto transport_made = factory->make(socket.fd(), transport);
  channel_ = new Channel(*this, std::move(socket), std::move(transport_made), error);
}

void ConnectionProbe::ask() {
  if (!asking_) return;
  body_.clear();
  if (config().kind != HealthCheckConfig::Kind::Tcp) return send_request();
  // That the connection stands is the answer when none is asked for.
  if (config().receive.empty()) {
    finish(Kind::Healthy);
    return drop_channel();
  }
  send_bytes();
}

void ConnectionProbe::send_bytes() {
  Connection& connection = channel_->connection();
  if (config().proxy_protocol) {
    Address made;
    connection.write_buffer().append(proxy_protocol_header(*config().proxy_protocol, nullptr,
                                                           connection.local_address(),
                                                           check_address(*host_, &made)));
  }
  connection.write_buffer().append(config().send);
  connection.write_buffer_changed();
}

void ConnectionProbe::send_request() {
  arena_ = std::make_unique<Arena>(context_.blocks());
  status_ = 0;
  degraded_ = excludes_ = asked_service_ = false;
  grpc_status_.clear();
  const bool grpc = config().kind == HealthCheckConfig::Kind::Grpc;
  const std::string& own_name = host_->extras().check_hostname;
  const std::string timeout = std::to_string(config().timeout_ms) + "m";
  http::HeaderMap headers(*arena_);
  headers.add(HeaderId::Method, grpc ? "POST" : std::string_view(config().method));
  headers.add(HeaderId::Path,
              grpc ? "/grpc.health.v1.Health/Check" : std::string_view(config().path));
  headers.add(HeaderId::Authority, !own_name.empty()        ? own_name
                                   : !config().host.empty() ? config().host
                                                            : cluster_->name);
  const bool secure = channel_->connection().transport().secure();
  headers.add(HeaderId::Scheme, secure ? "https" : "http");
  headers.add(HeaderId::UserAgent, "Envoy/HC");
  if (grpc) {
    headers.add("te", "trailers");
    headers.add("grpc-timeout", timeout);
    headers.add(HeaderId::ContentType, "application/grpc");
  }
  add_edits(headers);
  sender_ = &channel_->new_stream(*this);
  sender_->send_headers(headers, !grpc);
  if (!grpc) return;
  Buffer body(context_.blocks());
  body.append(grpc_request(config().service));
  sender_->send_data(body, true);
}

void ConnectionProbe::add_edits(http::HeaderMap& headers) const {
  using Action = CheckHeader::Action;
  for (const std::string& name : config().headers_to_remove) headers.remove(name);
  // What is there is asked before anything changes, and what takes its place goes first.
  std::vector<const CheckHeader*> to_set, to_add;
  for (const CheckHeader& header : config().headers) {
    const bool there = headers.find(header.name) != nullptr;
    if (header.action == (there ? Action::AddIfAbsent : Action::SetIfPresent)) continue;
    const bool sets = header.action == Action::Set || header.action == Action::SetIfPresent;
    (sets ? to_set : to_add).push_back(&header);
  }
  for (const CheckHeader* header : to_set) {
    headers.set(std::string_view(header->name), header->value);
  }
  for (const CheckHeader* header : to_add) {
    headers.add(std::string_view(header->name), header->value);
  }
}

void ConnectionProbe::on_bytes(Buffer& data) {
  if (!asking_) return data.clear();
  if (!has_in_order(data.to_string(), config().receive)) return;
  data.clear();
  finish(Kind::Healthy);
  if (!config().reuse_connection) drop_channel();
}

void ConnectionProbe::on_channel_closed() {
  drop_channel();
  const bool failed = asking_ || config().kind == HealthCheckConfig::Kind::Tcp;
  if (!failed) return;
  // A host that answered and closes the connection that is to be used again fails, by TCP.
  if (telling_.armed()) {
    broke_off_ = true;
  } else {
    finish(Kind::Network);
  }
}

// --- answers ---

void ConnectionProbe::on_headers(http::HeaderMap& headers, bool end_stream) {
  status_ = headers.status();
  degraded_ = headers.has(HeaderId::XEnvoyDegraded);
  excludes_ = headers.has(HeaderId::XEnvoyImmediateHealthCheckFail);
  if (const auto* status = headers.find("grpc-status")) grpc_status_ = status->value;
  const auto* service = headers.find("x-envoy-upstream-healthchecked-cluster");
  service_name_ = service == nullptr ? std::string_view() : service->value;
  if (end_stream) answered();
}

void ConnectionProbe::on_data(Buffer& data, bool end_stream) {
  const bool grpc = config().kind == HealthCheckConfig::Kind::Grpc;
  const bool wanted = grpc || !config().receive.empty();
  const size_t limit = grpc                                  ? kMaxGrpcBytes
                       : config().response_buffer_bytes == 0 ? SIZE_MAX
                                                             : config().response_buffer_bytes;
  if (wanted && body_.size() < limit) {
    body_ += data.to_string();
    if (body_.size() > limit) body_.resize(limit);
  }
  data.clear();
  if (end_stream) answered();
}

void ConnectionProbe::on_trailers(http::HeaderMap& trailers) {
  if (const auto* status = trailers.find("grpc-status")) grpc_status_ = status->value;
  answered();
}

void ConnectionProbe::on_reset(http::ResetReason, std::string_view) {
  sender_ = nullptr;
  if (asking_) finish(Kind::Network);
}

void ConnectionProbe::answered() {
  sender_ = nullptr;
  if (!asking_) return;
  finish(config().kind == HealthCheckConfig::Kind::Grpc ? judge_grpc() : judge_http());
}

CheckResult::Kind ConnectionProbe::judge_http() {
  const bool expected =
      config().expected.empty() ? status_ == 200 : in_ranges(status_, config().expected);
  if (!expected) return in_ranges(status_, config().retriable) ? Kind::Retriable : Kind::Failed;
  if (!has_in_order(body_, config().receive)) return Kind::Failed;
  asked_service_ = config().service_name.has_value();
  if (asked_service_ && !config().service_name->matches(service_name_)) return Kind::Failed;
  return degraded_ ? Kind::Degraded : Kind::Healthy;
}

CheckResult::Kind ConnectionProbe::judge_grpc() const {
  const bool serving = status_ == 200 && grpc_status_ == "0" && says_serving(body_);
  return serving ? Kind::Healthy : Kind::Failed;
}

void ConnectionProbe::finish(CheckResult::Kind kind) {
  asking_ = false;
  const bool well = kind == Kind::Healthy || kind == Kind::Degraded;
  result_ = {kind, excludes_ && !well, std::exchange(asked_service_, false)};
  const bool answered = kind != Kind::Network && config().kind == HealthCheckConfig::Kind::Http;
  if (answered) result_.status = status_;
  telling_.arm(0);
}

void ConnectionProbe::tell() {
  const bool done_with_it = !config().reuse_connection || (channel_ && !channel_->usable());
  if (done_with_it) drop_channel();
  const CheckResult result = result_;
  if (std::exchange(broke_off_, false)) finish(Kind::Network);
  done_(result);  // may destroy this
}

void ConnectionProbe::drop_channel() {
  sender_ = nullptr;
  if (channel_ != nullptr) std::exchange(channel_, nullptr)->let_go();
}

}  // namespace remora::upstream
