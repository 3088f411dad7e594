// The decision table of message lengths. The connection's worker only.
#include "proxy/http1/framing.h"

#include <algorithm>

namespace remora::http1 {
namespace {

BodyFraming refuse(uint16_t status, std::string_view detail) {
  BodyFraming framing;
  framing.error = {status, detail};
  return framing;
}

/// One Transfer-Encoding, naming chunked only; others we could not undo for the next hop.
bool plain_chunked(const HeadFacts& facts) {
  return facts.transfer_encodings == 1 && facts.chunked;
}

BodyFraming by_length(uint64_t length) {
  BodyFraming framing;
  framing.kind = length == 0 ? BodyKind::None : BodyKind::Length;
  framing.length = length;
  return framing;
}

}  // namespace

BodyFraming request_body(const HeadFacts& facts, bool connect) {
  const bool encoded = facts.transfer_encodings > 0;
  if (encoded && facts.has_length) return refuse(400, details::kLengthAndChunked);
  if (encoded && facts.version == http::Protocol::Http10) {
    return refuse(400, details::kTransferEncodingNotAllowed);
  }
  if (encoded && (connect || !plain_chunked(facts))) {
    return refuse(400, details::kInvalidTransferEncoding);
  }
  if (connect && facts.length > 0) return refuse(400, details::kBodyDisallowed);
  if (encoded) return {.kind = BodyKind::Chunked, .length = 0, .error = {}};
  return by_length(facts.length);
}

BodyFraming response_body(const HeadFacts& facts, bool answers_head) {
  const bool encoded = facts.transfer_encodings > 0;
  if (encoded && facts.has_length) return refuse(502, details::kLengthAndChunked);
  if (encoded && !plain_chunked(facts)) return refuse(502, details::kInvalidTransferEncoding);
  if (facts.status == 204) {
    if (encoded) return refuse(502, details::kTransferEncodingNotAllowed);
    if (facts.length > 0) return refuse(502, details::kContentLengthNotAllowed);
    return {};
  }
  if (answers_head || facts.status == 304) return {};
  if (encoded) return {.kind = BodyKind::Chunked, .length = 0, .error = {}};
  if (facts.has_length) return by_length(facts.length);
  return {.kind = BodyKind::UntilClose, .length = 0, .error = {}};
}

void BodyReader::start(const BodyFraming& framing) {
  kind_ = framing.kind;
  left_ = framing.length;
  if (kind_ == BodyKind::Chunked) chunks_.start();
}

BodyReader::Status BodyReader::read(Buffer& in, Buffer& out) {
  switch (kind_) {
    case BodyKind::None:
      return Status::Ended;
    case BodyKind::Length: {
      const auto count = static_cast<size_t>(std::min<uint64_t>(left_, in.size()));
      out.append(in, count);
      left_ -= count;
      return left_ == 0 ? Status::Ended : Status::NeedMore;
    }
    case BodyKind::Chunked:
      switch (chunks_.decode(in, out)) {
        case ChunkedDecoder::Status::NeedMore:
          return Status::NeedMore;
        case ChunkedDecoder::Status::LastChunk:
          return Status::Trailers;
        case ChunkedDecoder::Status::Error:
          return Status::Error;
      }
      return Status::Error;
    case BodyKind::UntilClose:
      out.append(in, in.size());
      return Status::NeedMore;
  }
  return Status::Error;
}

}  // namespace remora::http1
