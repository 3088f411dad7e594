// The writing half of the server side: responses into the connection's write buffer. The
// connection's worker only.
#include <algorithm>
#include <utility>

#include "proxy/http/status_text.h"
#include "proxy/http1/content_length.h"
#include "proxy/http1/parser.h"
#include "proxy/http1/server_codec.h"

namespace remora::http1 {
namespace {

using http::HeaderEntry;
using http::HeaderId;
using http::Protocol;

constexpr size_t kStatusLineAndFramingBytes = 128;

bool is_success(uint16_t status) { return status >= 200 && status < 300; }

/// Fields that the codec writes itself or that mean nothing on this connection.
bool is_own_field(HeaderId id) {
  return http::is_pseudo(id) || id == HeaderId::Connection || id == HeaderId::KeepAlive ||
         id == HeaderId::ProxyConnection || id == HeaderId::TransferEncoding;
}

}  // namespace

void ServerCodec::wrote(uint64_t bytes) {
  sent_bytes_ += bytes;
  connection_.write_buffer_changed();
}

void ServerCodec::write_status_line(HeadWriter& out, const http::HeaderMap& headers,
                                    uint16_t status) const {
  const std::string_view reason =
      headers.spelling() != nullptr ? headers.spelling()->reason() : std::string_view();
  if (status == 200 && version_ == Protocol::Http11 && reason.empty()) {
    out.put("HTTP/1.1 200 OK\r\n");
    return;
  }
  char digits[] = {static_cast<char>('0' + status / 100 % 10),
                   static_cast<char>('0' + status / 10 % 10), static_cast<char>('0' + status % 10),
                   ' '};
  out.put(http::protocol_name(version_));
  out.put(" ");
  out.put({digits, sizeof(digits)});
  out.put(reason.empty() ? http::status_text(status) : reason);
  out.put("\r\n");
}

void ServerCodec::send_informational(const http::HeaderMap& headers) {
  const uint16_t status = headers.status();
  if (receiver_ == nullptr || writing_ != Writing::NotBegun) return;
  if (version_ != Protocol::Http11 || status < 100 || status >= 200 || status == 101) return;
  HeadWriter out(connection_.write_buffer(),
                 HeadWriter::size_of_fields(headers) + kStatusLineAndFramingBytes,
                 options_.names.written, headers.spelling());
  write_status_line(out, headers, status);
  for (const HeaderEntry& entry : headers.entries()) {
    if (entry.removed || is_own_field(entry.id) || entry.id == HeaderId::ContentLength) continue;
    out.field(entry.name, entry.value);
  }
  out.put("\r\n");
  wrote(out.finish());
}

void ServerCodec::send_headers(const http::HeaderMap& headers, bool end_stream) {
  if (receiver_ == nullptr || writing_ != Writing::NotBegun) return;
  const uint16_t status = headers.status();
  const std::optional<uint64_t> length = content_length_of(headers);
  writing_ = choose_framing(status, length, end_stream);
  decide_persistence(headers);
  write_head(headers, status, length.has_value());
  if (end_stream) {
    end_response();
  } else if (writing_ == Writing::Tunnel) {
    open_tunnel();
  }
}

ServerCodec::Writing ServerCodec::choose_framing(uint16_t status, std::optional<uint64_t> length,
                                                 bool end_stream) {
  if (status == 101 && upgrade_request_) return Writing::Tunnel;
  if (connect_request_ && is_success(status)) return Writing::Tunnel;
  if (status < 200 || status == 204 || status == 304 || head_request_) return Writing::Nothing;
  if (length || end_stream) {
    response_left_ = length.value_or(0);
    return Writing::Length;
  }
  return version_ == Protocol::Http10 ? Writing::UntilClose : Writing::Chunked;
}

void ServerCodec::decide_persistence(const http::HeaderMap& headers) {
  const bool asked = headers.get(HeaderId::Connection) == "close";
  if (asked || draining_ || client_closes_ || !request_ended() || writing_ == Writing::UntilClose ||
      writing_ == Writing::Tunnel) {
    close_after_ = true;
  }
}

void ServerCodec::write_head(const http::HeaderMap& headers, uint16_t status, bool valid_length) {
  const bool tunnel = writing_ == Writing::Tunnel;
  const bool switching = tunnel && status == 101;
  const bool may_have_length = !tunnel && status >= 200 && status != 204;
  const bool has_length = may_have_length && valid_length;

  HeadWriter out(connection_.write_buffer(),
                 HeadWriter::size_of_fields(headers) + kStatusLineAndFramingBytes,
                 options_.names.written, headers.spelling());
  write_status_line(out, headers, status);
  for (const HeaderEntry& entry : headers.entries()) {
    const bool told = switching && entry.id == HeaderId::Connection;
    if (entry.removed || (is_own_field(entry.id) && !told)) continue;
    if (entry.id == HeaderId::ContentLength && !has_length) continue;
    out.field(entry.name, entry.value);
  }
  if (switching) {
    if (!headers.has(HeaderId::Connection)) out.field("connection", "upgrade");
  } else if (tunnel) {
    // Nothing on the connection is HTTP any more.
  } else if (close_after_) {
    out.field("connection", "close");
  } else if (version_ == Protocol::Http10) {
    out.field("connection", "keep-alive");
  }
  const bool could_be_chunked = head_request_ && may_have_length && !has_length && status != 304 &&
                                version_ == Protocol::Http11;
  if (writing_ == Writing::Chunked || could_be_chunked) {
    out.field("transfer-encoding", "chunked");
  } else if (writing_ == Writing::Length && !has_length) {
    out.field("content-length", "0");
  }
  out.put("\r\n");
  wrote(out.finish());
}

/// The other side agreed: from here on the bytes of both directions are not ours to read.
void ServerCodec::open_tunnel() {
  if (reading_ != Reading::Undecided) return;
  reading_ = Reading::Tunnel;
  connection_.set_half_close(true);
  connection_.set_detect_early_close(false);
  if (waiting_) {
    waiting_ = false;
    connection_.resume_reading(kPauseByCodec);
  }
}

void ServerCodec::send_data(Buffer& data, bool end_stream) {
  if (receiver_ == nullptr) {
    data.clear();
    return;
  }
  Buffer& out = connection_.write_buffer();
  uint64_t written = 0;
  switch (writing_) {
    case Writing::Length:
      written = std::min<uint64_t>(data.size(), response_left_);
      if (written < data.size()) close_after_ = true;  // more than was announced: never sent
      response_left_ -= written;
      out.append(data, static_cast<size_t>(written));
      break;
    case Writing::Chunked:
      if (!data.empty()) written = append_chunk(out, data);
      break;
    case Writing::UntilClose:
    case Writing::Tunnel:
      written = data.size();
      out.append(data, data.size());
      break;
    case Writing::NotBegun:
    case Writing::Nothing:
    case Writing::Ended:
      break;
  }
  data.clear();
  if (written > 0) wrote(written);
  if (end_stream) end_response();
}

void ServerCodec::send_trailers(const http::HeaderMap& trailers) {
  if (receiver_ == nullptr || writing_ != Writing::Chunked || !options_.enable_trailers) {
    end_response();
    return;
  }
  HeadWriter out(connection_.write_buffer(), HeadWriter::size_of_fields(trailers) + 8);
  out.put(kLastChunkLine);
  for (const HeaderEntry& entry : trailers.entries()) {
    if (entry.removed || http::is_pseudo(entry.id) || forbidden_in_trailers(entry.id)) continue;
    out.field(entry.name, entry.value);
  }
  out.put("\r\n");
  writing_ = Writing::Nothing;  // the body has its end
  wrote(out.finish());
  end_response();
}

void ServerCodec::end_response() {
  if (receiver_ == nullptr || writing_ == Writing::NotBegun || writing_ == Writing::Ended) return;
  if (writing_ == Writing::Chunked) {
    connection_.write_buffer().append(kLastChunk);
    wrote(kLastChunk.size());
  } else if (writing_ == Writing::Length && response_left_ > 0) {
    close_after_ = true;  // less than was announced: the client must see that the rest is missing
  } else if (writing_ == Writing::Tunnel && reading_ == Reading::Tunnel) {
    writing_ = Writing::Ended;  // the client may have more to say
    Buffer nothing(connection_.loop().blocks());
    connection_.write(nothing, true);
    return;
  }
  writing_ = Writing::Ended;
  finish_stream();
}

void ServerCodec::reset(http::ResetReason) {
  if (receiver_ == nullptr) return;
  // A response that the connection's end delimits must not look complete.
  const CloseHow how =
      writing_ == Writing::UntilClose || writing_ == Writing::Tunnel || reading_ == Reading::Tunnel
          ? CloseHow::Abort
          : CloseHow::Flush;
  receiver_ = nullptr;
  close_after_ = true;
  reading_ = Reading::Discard;
  connection_.close(how);
}

void ServerCodec::decline_upgrade() {
  if (reading_ != Reading::Undecided || !upgrade_request_) return;
  upgrade_request_ = false;
  reading_ = Reading::Complete;
}

void ServerCodec::pause_receiving() {
  if (receiver_ == nullptr || pauses_++ > 0) return;
  connection_.pause_reading(kPauseByPeerBuffer);
}

void ServerCodec::resume_receiving() {
  if (receiver_ == nullptr || pauses_ == 0 || --pauses_ > 0) return;
  connection_.resume_reading(kPauseByPeerBuffer);
}

}  // namespace remora::http1
