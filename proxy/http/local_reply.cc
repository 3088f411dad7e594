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

HeaderMap& begin_local_reply(uint16_t status, Asker asker, Arena& arena) {
  auto* response = arena.make<HeaderMap>(arena);
  response->set_status(asker.grpc ? 200 : status);
  return *response;
}

std::string_view complete_local_reply(const Failure& failure, std::string_view body, Asker asker,
                                      HeaderMap& response) {
  Arena& arena = response.arena();
  if (asker.grpc) {
    const GrpcStatus status = failure.grpc_status.value_or(grpc_status_of_http(failure.status));
    response.add(HeaderId::ContentType, kGrpcContentType);
    response.add(HeaderId::GrpcStatus, decimal(static_cast<size_t>(status), arena));
    if (!body.empty() && !asker.head) {
      response.add(HeaderId::GrpcMessage, percent_encoded_grpc_message(body, arena));
    }
    return {};
  }
  if (!body.empty()) {
    response.add(HeaderId::ContentLength, decimal(body.size(), arena));
    response.add(HeaderId::ContentType, "text/plain");
  }
  return asker.head ? std::string_view() : body;
}

}  // namespace remora::http
