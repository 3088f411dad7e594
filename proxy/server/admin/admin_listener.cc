#include "proxy/server/admin/admin_listener.h"

#include "proxy/http1/server_codec.h"
#include "proxy/net/transport.h"

namespace remora::server {
namespace {

const http1::Options& codec_options() {
  static const http1::Options options = [] {
    http1::Options o;
    o.accept_http_10 = true;
    return o;
  }();
  return options;
}

constexpr uint32_t kMaxBufferedBytes = 64 * 1024;
constexpr uint32_t kDelayedCloseMs = 1000;

ConnectionFacts facts_of(const Socket& socket, const Address& peer, const EventLoop& loop) {
  ConnectionFacts facts;
  facts.local = facts.direct_local = local_address_of(socket.fd()).unmapped();
  facts.remote = facts.direct_remote = peer.unmapped();
  facts.accepted_at_ns = loop.time().wall_ns;
  return facts;
}

/// Reads one request and sends its answer, built whole; the body of a request is dropped.
class Exchange final : public http::StreamReceiver {
 public:
  Exchange(EventLoop& loop, const Admin& admin, const AdminListenerOptions& options,
           ConnectionFacts facts)
      : loop_(loop),
        arena_(loop.blocks()),
        admin_(admin),
        options_(options),
        facts_(std::move(facts)) {}

  void start(http::StreamSender& sender) {
    arena_.reset();
    sender_ = &sender;
    request_ = nullptr;
    info_ = {};
    info_.start_us = loop_.time().now_us;
    info_.start_wall_ns = loop_.time().wall_ns;
  }
  void refuse(uint16_t status, std::string_view detail) {
    if (sender_ == nullptr) return;
    info_.flags.set(http::ResponseFlag::DPE);
    send(AdminResponse::text("", status), false, detail);
  }

  Arena& arena() override { return arena_; }
  void on_headers(http::HeaderMap& headers, bool end_stream) override {
    request_ = &headers;
    if (headers.get(http::HeaderId::Expect) == "100-continue") {
      http::HeaderMap go_on(arena_);
      go_on.set_status(100);
      sender_->send_informational(go_on);
    }
    if (end_stream) answer();
  }
  void on_data(Buffer& data, bool end_stream) override {
    info_.bytes_received += data.size();
    data.clear();
    if (end_stream) answer();
  }
  void on_trailers(http::HeaderMap&) override { answer(); }
  void on_reset(http::ResetReason, std::string_view) override { sender_ = nullptr; }

 private:
  void answer() {
    // RFC 9112 section 3.2; and who says nothing has not said that it means this machine.
    if (request_->authority().empty()) {
      return send(AdminResponse::text("missing Host header\n", 400), false, "missing_host_header");
    }
    send(admin_.handle(request_->method(), request_->path(), request_->authority()),
         request_->method() == "HEAD", "admin_filter_response");
  }

  void send(const AdminResponse& response, bool head_only, std::string_view details) {
    http::StreamSender& sender = *sender_;
    sender_ = nullptr;
    http::HeaderMap headers(arena_);
    headers.set_status(response.status);
    headers.add(http::HeaderId::ContentType, response.content_type);
    headers.add(http::HeaderId::CacheControl, "no-cache, max-age=0");
    headers.add("x-content-type-options", "nosniff");
    headers.add(http::HeaderId::ContentLength, arena_.copy(std::to_string(response.body.size())));
    bool without_body = head_only || response.body.empty();
    sender.send_headers(headers, without_body);
    if (!without_body) {
      Buffer body(loop_.blocks());
      body.append(response.body);
      sender.send_data(body, true);
      info_.bytes_sent = response.body.size();
    }
    tell(headers, details);
  }

  void tell(const http::HeaderMap& answer, std::string_view details) {
    info_.connection = &facts_;
    info_.remote = facts_.remote;
    info_.request_headers = request_;
    info_.response_headers = &answer;
    info_.response_code = answer.status();
    info_.response_code_details = details;
    info_.request_end_us = info_.response_first_us = info_.end_us = loop_.time().now_us;
    options_.on_answered(info_);
  }

  EventLoop& loop_;
  Arena arena_;
  const Admin& admin_;
  const AdminListenerOptions& options_;
  const ConnectionFacts facts_;
  http::StreamInfo info_;
  http::StreamSender* sender_ = nullptr;  // of the request that has no answer yet
  http::HeaderMap* request_ = nullptr;
};

}  // namespace

/// One admin connection: requests one after the other.
class AdminListener::Session final : public Deferrable,
                                     private ConnectionHandler,
                                     private http::ServerCodecHandler {
 public:
  Session(AdminListener& listener, Socket socket, const Address& peer,
          std::unique_ptr<Transport> transport)
      : listener_(listener),
        exchange_(listener.loop_, listener.admin_, listener.options_,
                  facts_of(socket, peer, listener.loop_)),
        connection_(listener.loop_, std::move(socket), std::move(transport),
                    ConnectionLimits{kMaxBufferedBytes, kDelayedCloseMs}),
        codec_(connection_, *this, codec_options()) {
    connection_.set_handler(*this);
    connection_.set_min_read_limit(codec_options().limits.max_bytes);
  }

  void begin() { connection_.begin(); }

 private:
  // ConnectionHandler
  void on_connected() override {}
  void on_data(Buffer& data, bool end_stream) override {
    bool go_on = codec_.dispatch(data, end_stream);
    if (connection_.closing()) return;
    if (!go_on || (codec_.wants_close() && codec_.idle()))
      connection_.close(CloseHow::FlushAndWait);
  }
  void on_closed(CloseCause) override {
    codec_.on_connection_closed();
    listener_.forget(this);
  }
  void on_write_high_water() override { codec_.on_write_high_water(); }
  void on_write_low_water() override { codec_.on_write_low_water(); }

  // http::ServerCodecHandler
  http::StreamReceiver& on_new_stream(http::StreamSender& response) override {
    exchange_.start(response);
    return exchange_;
  }
  void on_codec_error(uint16_t status, std::string_view detail) override {
    exchange_.refuse(status, detail);
  }

  AdminListener& listener_;
  Exchange exchange_;
  Connection connection_;
  http1::ServerCodec codec_;
};

absl::StatusOr<std::unique_ptr<AdminListener>> AdminListener::open(EventLoop& loop,
                                                                   const Address& address,
                                                                   const Admin& admin,
                                                                   AdminListenerOptions options) {
  ListenOptions exclusive;
  exclusive.reuse_port = false;
  auto socket = listen_on(address, exclusive);
  if (!socket.ok()) return socket.status();
  return std::unique_ptr<AdminListener>(
      new AdminListener(loop, *std::move(socket), admin, std::move(options)));
}

AdminListener::AdminListener(EventLoop& loop, Socket socket, const Admin& admin,
                             AdminListenerOptions options)
    : loop_(loop),
      socket_(std::move(socket)),
      address_(local_address_of(socket_.fd())),
      admin_(admin),
      options_(std::move(options)),
      event_(loop, socket_.fd(), FdEvent::Trigger::Level, FdEvent::kRead,
             FdEvent::bind<&AdminListener::on_ready, AdminListener>(), this) {}

AdminListener::~AdminListener() = default;

void AdminListener::on_ready(uint8_t) {
  Address peer;
  Socket socket = accept_one(socket_.fd(), &peer);
  if (!socket || !has_room()) return;
  auto transport = raw_transport_factory()->make(socket.fd(), {});
  auto session = std::make_unique<Session>(*this, std::move(socket), peer, std::move(transport));
  Session& begun = *session;
  sessions_.emplace(&begun, std::move(session));
  begun.begin();
}

bool AdminListener::has_room() const {
  const ConnectionLimit* limit = options_.connection_limit;
  return limit == nullptr || limit->open() + sessions_.size() < limit->max();
}

void AdminListener::forget(Session* session) {
  auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  loop_.defer_delete(std::move(found->second));
  sessions_.erase(found);
}

}  // namespace remora::server
