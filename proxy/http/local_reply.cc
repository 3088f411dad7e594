#include "proxy/http/local_reply.h"

#include <charconv>

#include "proxy/http/grpc.h"

namespace remora::http {
namespace {

std::string_view decimal(size_t number, Arena& arena) {
  char* out = static_cast<char*>(arena.allocate(20, 1));
  char* end = std::to_chars(out, out + 20, number).ptr;
  return {out, static_cast<size_t>(end - out)};
}

}  // namespace

Asker Asker::of(const HeaderMap& request) {
  return {has_grpc_content_type(request), request.method() == "HEAD"};
}

HeaderMap& begin_local_reply(uint16_t status, Arena& arena) {
  auto* response = arena.make<HeaderMap>(arena);
  response->set_status(status);
  return *response;
}

std::string_view complete_local_reply(const LocalReply& reply, Asker asker, HeaderMap& response) {
  const std::string_view body = reply.body;
  Arena& arena = response.arena();
  if (asker.grpc) {
    const GrpcStatus status = reply.grpc_status.value_or(grpc_status_of_http(reply.status));
    response.set_status(200);
    response.set(HeaderId::ContentType, kGrpcContentType);
    response.set(HeaderId::GrpcStatus, decimal(static_cast<size_t>(status), arena));
    if (!body.empty() && !asker.head) {
      response.set(HeaderId::GrpcMessage, percent_encoded_grpc_message(body, arena));
    }
    return {};
  }
  if (body.empty()) {
    response.remove(HeaderId::ContentLength);
    response.remove(HeaderId::ContentType);
  } else {
    response.set(HeaderId::ContentLength, decimal(body.size(), arena));
    if (!response.has(HeaderId::ContentType)) {
      response.add(HeaderId::ContentType, reply.content_type);
    }
  }
  return asker.head ? std::string_view() : body;
}

}  // namespace remora::http
