#include "proxy/router/tcp_stream.h"

#include <utility>

namespace remora::router {

TcpStream::TcpStream(std::unique_ptr<upstream::TcpConnection> upstream,
                     http::StreamReceiver& receiver)
    : upstream_(std::move(upstream)), receiver_(&receiver) {
  upstream_->connection().set_handler(*this);
}

void TcpStream::send_first(std::string_view bytes) {
  Connection& connection = upstream_->connection();
  connection.write_buffer().append(bytes);
  connection.write_buffer_changed();
}

void TcpStream::send_headers(const http::HeaderMap& /*headers*/, bool end_stream) {
  if (receiver_ == nullptr) return;
  upstream_->connection().loop().at_end_of_turn(*this);  // nothing calls back before a send returns
  if (!end_stream) return;
  Buffer nothing(upstream_->connection().loop().blocks());
  send_data(nothing, true);
}

void TcpStream::send_data(Buffer& data, bool end_stream) {
  if (receiver_ == nullptr) {
    data.clear();
    return;
  }
  sent_bytes_ += data.size();
  upstream_->connection().write(data, end_stream);
  if (!end_stream) return;
  request_ended_ = true;
  finish_when_done();
}

void TcpStream::send_trailers(const http::HeaderMap& /*trailers*/) {
  if (receiver_ == nullptr) return;
  Buffer nothing(upstream_->connection().loop().blocks());
  send_data(nothing, true);
}

void TcpStream::reset(http::ResetReason /*reason*/) {
  if (receiver_ == nullptr) return;
  receiver_ = nullptr;
  upstream_->connection().close(CloseHow::Abort);  // hears on_closed(), which lets go of it
}

void TcpStream::pause_receiving() {
  if (receiver_ == nullptr || pauses_++ > 0) return;
  upstream_->connection().pause_reading(kPauseByPeerBuffer);
}

void TcpStream::resume_receiving() {
  if (receiver_ == nullptr || pauses_ == 0 || --pauses_ > 0) return;
  upstream_->connection().resume_reading(kPauseByPeerBuffer);
}

void TcpStream::answer() {
  if (receiver_ == nullptr || std::exchange(answered_, true)) return;
  Arena& arena = receiver_->arena();
  auto* ok = arena.make<http::HeaderMap>(arena);
  ok->set_status(200);
  receiver_->on_headers(*ok, false);
}

void TcpStream::on_data(Buffer& data, bool end_stream) {
  answer();
  if (receiver_ == nullptr) {
    data.clear();
    return;
  }
  upstream_->count_bytes();
  received_bytes_ += data.size();
  receiver_->on_data(data, end_stream);
  data.clear();
  if (receiver_ == nullptr || !end_stream) return;
  response_ended_ = true;
  finish_when_done();
}

/// Both directions have ended: what is left to send is sent without us.
void TcpStream::finish_when_done() {
  if (!request_ended_ || !response_ended_) return;
  receiver_ = nullptr;
  upstream_->connection().close(CloseHow::FlushAndWait);
  upstream_ = nullptr;
}

void TcpStream::on_closed(CloseCause /*cause*/) {
  http::StreamReceiver* receiver = std::exchange(receiver_, nullptr);
  upstream_ = nullptr;
  if (receiver != nullptr) receiver->on_reset(http::ResetReason::ConnectionClosed, {});
}

void TcpStream::on_write_high_water() {
  if (receiver_ != nullptr) receiver_->on_send_high_water();
}

void TcpStream::on_write_low_water() {
  if (receiver_ != nullptr) receiver_->on_send_low_water();
}

void TcpStream::on_written(size_t /*bytes*/) { upstream_->count_bytes(); }

}  // namespace remora::router
