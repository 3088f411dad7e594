#include "proxy/http/local_reply.h"

#include <charconv>

namespace remora::http {
namespace {

bool is_grpc(const HeaderMap& request) {
  constexpr std::string_view kGrpc = "application/grpc";
  std::string_view type = request.get(HeaderId::ContentType);
  return type.starts_with(kGrpc) && (type.size() == kGrpc.size() || type[kGrpc.size()] == '+');
}

/// gRPC's percent encoding of grpc-message: printable ASCII but '%' stays.
std::string_view percent_encoded(std::string_view text, Arena& arena) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  char* out = static_cast<char*>(arena.allocate(text.size() * 3 + 1, 1));
  char* at = out;
  for (unsigned char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      *at++ = static_cast<char>(c);
    } else {
      *at++ = '%';
      *at++ = kHex[c >> 4];
      *at++ = kHex[c & 15];
    }
  }
  return {out, static_cast<size_t>(at - out)};
}

std::string_view decimal(size_t number, Arena& arena) {
  char* out = static_cast<char*>(arena.allocate(20, 1));
  char* end = std::to_chars(out, out + 20, number).ptr;
  return {out, static_cast<size_t>(end - out)};
}

}  // namespace

std::string_view grpc_status_of(uint16_t http_status) {
  switch (http_status) {
    case 400:
      return "13";
    case 401:
      return "16";
    case 403:
      return "7";
    case 404:
      return "12";
    case 429:
    case 502:
    case 503:
    case 504:
      return "14";
    default:
      return "2";
  }
}

HeaderMap& begin_local_reply(uint16_t status, const HeaderMap* request, Arena& arena) {
  auto* response = arena.make<HeaderMap>(arena);
  response->set_status(request != nullptr && is_grpc(*request) ? 200 : status);
  return *response;
}

std::string_view complete_local_reply(uint16_t status, std::string_view body,
                                      const HeaderMap* request, HeaderMap& response) {
  Arena& arena = response.arena();
  if (request != nullptr && is_grpc(*request)) {
    response.add(HeaderId::ContentType, "application/grpc");
    response.add(HeaderId::GrpcStatus, grpc_status_of(status));
    if (!body.empty()) response.add(HeaderId::GrpcMessage, percent_encoded(body, arena));
    return {};
  }
  if (!body.empty()) {
    response.add(HeaderId::ContentLength, decimal(body.size(), arena));
    response.add(HeaderId::ContentType, "text/plain");
  }
  return request != nullptr && request->method() == "HEAD" ? std::string_view() : body;
}

}  // namespace remora::http
