// The writing half of the client side: requests into the connection's write buffer. The
// connection's worker only.
#include <algorithm>
#include <utility>

#include "proxy/http/upgrade.h"
#include "proxy/http1/client_codec.h"
#include "proxy/http1/content_length.h"

namespace remora::http1 {
namespace {

using http::HeaderEntry;
using http::HeaderId;

constexpr size_t kRequestLineAndFramingBytes = 64;

/// Fields that the codec writes itself or that mean nothing on this connection.
bool is_own_field(HeaderId id) {
  return http::is_pseudo(id) || id == HeaderId::Host || id == HeaderId::Connection ||
         id == HeaderId::KeepAlive || id == HeaderId::ProxyConnection ||
         id == HeaderId::TransferEncoding || id == HeaderId::Upgrade ||
         id == HeaderId::Http2Settings;
}

/// Requests of these methods say nothing about a body that they do not have.
bool is_usually_bodiless(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "DELETE" || method == "TRACE" ||
         method == "CONNECT";
}

}  // namespace

void ClientCodec::wrote(uint64_t bytes) {
  sent_bytes_ += bytes;
  connection_.write_buffer_changed();
}

void ClientCodec::send_headers(const http::HeaderMap& headers, bool end_stream) {
  if (receiver_ == nullptr || writing_ != Writing::NotBegun) return;
  const std::string_view method = headers.method();
  head_request_ = method == "HEAD";
  connect_request_ = method == "CONNECT";
  if (!end_stream && !connect_request_ && !headers.has(HeaderId::ContentLength)) {
    asked_upgrade_ = http::wanted_upgrade(headers);
  }
  const std::optional<uint64_t> length = content_length_of(headers);
  writing_ = choose_framing(length, end_stream);
  write_head(headers, writing_ == Writing::Length && length.has_value());
  if (end_stream) end_request();
}

ClientCodec::Writing ClientCodec::choose_framing(std::optional<uint64_t> length, bool end_stream) {
  if (connect_request_ || !asked_upgrade_.empty()) return Writing::AwaitTunnel;
  if (length || end_stream) {
    request_left_ = length.value_or(0);
    return Writing::Length;
  }
  return Writing::Chunked;
}

void ClientCodec::write_head(const http::HeaderMap& headers, bool has_length) {
  const bool has_authority = headers.has(HeaderId::Authority);
  const std::string_view target = connect_request_ ? headers.authority() : headers.path();

  HeadWriter out(connection_.write_buffer(),
                 HeadWriter::size_of_fields(headers) + kRequestLineAndFramingBytes,
                 options_.names.written, headers.spelling());
  out.put(headers.method());
  out.put(" ");
  if (options_.full_url && target.starts_with('/') && has_authority) {
    const std::string_view scheme = headers.get(HeaderId::Scheme);
    out.put(scheme.empty() ? "http" : scheme);
    out.put("://");
    out.put(headers.authority());
  }
  out.put(target);
  out.put(" HTTP/1.1\r\n");
  if (has_authority) {
    out.field("host", headers.authority());
  } else if (headers.has(HeaderId::Host)) {
    out.field("host", headers.get(HeaderId::Host));
  }
  for (const HeaderEntry& entry : headers.entries()) {
    const bool told = !asked_upgrade_.empty() &&
                      (entry.id == HeaderId::Connection || entry.id == HeaderId::Upgrade);
    if (entry.removed || (is_own_field(entry.id) && !told)) continue;
    if (entry.id == HeaderId::ContentLength && !has_length) continue;
    out.field(entry.name, entry.value);
  }
  if (writing_ == Writing::Chunked) {
    out.field("transfer-encoding", "chunked");
  } else if (writing_ == Writing::Length && !has_length && !is_usually_bodiless(headers.method())) {
    out.field("content-length", "0");
  }
  out.put("\r\n");
  wrote(out.finish());
}

void ClientCodec::send_data(Buffer& data, bool end_stream) {
  if (receiver_ == nullptr) {
    data.clear();
    return;
  }
  Buffer& out = connection_.write_buffer();
  uint64_t written = 0;
  switch (writing_) {
    case Writing::Length:
      written = std::min<uint64_t>(data.size(), request_left_);
      if (written < data.size()) drain();  // more than was announced: never sent
      request_left_ -= written;
      out.append(data, static_cast<size_t>(written));
      break;
    case Writing::Chunked:
      if (!data.empty()) written = append_chunk(out, data);
      break;
    case Writing::AwaitTunnel:
      if (!response_started_) held_.append(data, data.size());
      break;
    case Writing::Tunnel:
      written = data.size();
      out.append(data, data.size());
      break;
    case Writing::NotBegun:
    case Writing::Ended:
      break;
  }
  data.clear();
  if (written > 0) wrote(written);
  if (end_stream) end_request();
}

void ClientCodec::send_trailers(const http::HeaderMap& trailers) {
  if (receiver_ != nullptr && writing_ == Writing::Chunked && options_.enable_trailers) {
    HeadWriter out(connection_.write_buffer(), HeadWriter::size_of_fields(trailers) + 8);
    out.put(kLastChunkLine);
    for (const HeaderEntry& entry : trailers.entries()) {
      if (entry.removed || http::is_pseudo(entry.id) || forbidden_in_trailers(entry.id)) continue;
      out.field(entry.name, entry.value);
    }
    out.put("\r\n");
    writing_ = Writing::Length;  // the body has its end
    wrote(out.finish());
  }
  end_request();
}

void ClientCodec::end_request() {
  if (receiver_ == nullptr || writing_ == Writing::NotBegun || writing_ == Writing::Ended) return;
  if (writing_ == Writing::Chunked) {
    connection_.write_buffer().append(kLastChunk);
    wrote(kLastChunk.size());
  } else if (writing_ == Writing::Length && request_left_ > 0) {
    drain();  // less than was announced: the next request would be taken for the rest
  } else if (writing_ == Writing::AwaitTunnel) {
    held_end_ = true;
    return;
  } else if (writing_ == Writing::Tunnel) {
    Buffer nothing(connection_.loop().blocks());
    connection_.write(nothing, true);
  }
  writing_ = Writing::Ended;
  end_stream_when_done();
}

void ClientCodec::reset(http::ResetReason) {
  if (receiver_ == nullptr) return;
  const bool untouched = writing_ == Writing::NotBegun && reading_ == Reading::NotBegun;
  const bool tunnel = is_tunnel();
  if (!untouched) drain();
  release_stream();
  // What a connection's end delimits must not look complete.
  if (!untouched) connection_.close(tunnel ? CloseHow::Abort : CloseHow::NoFlush);
}

void ClientCodec::pause_receiving() {
  if (receiver_ == nullptr || pauses_++ > 0) return;
  connection_.pause_reading(kPauseByPeerBuffer);
}

void ClientCodec::resume_receiving() {
  if (receiver_ == nullptr || pauses_ == 0 || --pauses_ > 0) return;
  connection_.resume_reading(kPauseByPeerBuffer);
}

}  // namespace remora::http1
