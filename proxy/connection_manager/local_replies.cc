#include "proxy/connection_manager/local_replies.h"

namespace remora::connection_manager {
namespace {

using http::LocalReply;

const LocalReplies::Mapper* find_mapper(const LocalReplies& replies, const http::StreamInfo& info,
                                        uint64_t random) {
  for (const LocalReplies::Mapper& mapper : replies.mappers) {
    if (mapper.filter.wants(info, random)) return &mapper;
  }
  return nullptr;
}

}  // namespace

void apply(const LocalReplies& replies, http::StreamInfo& info, uint64_t random,
           std::string& scratch, LocalReply& reply, http::HeaderMap& headers) {
  info.response_code = reply.status;
  info.log_entry = http::LogEntry::NotSet;
  const LocalReplies::Mapper* mapper = find_mapper(replies, info, random);
  const LocalReplies::BodyFormat* format = replies.format ? &*replies.format : nullptr;
  if (mapper != nullptr) {
    if (mapper->body) reply.body = *mapper->body;
    apply(mapper->headers, info, scratch, headers);
    if (mapper->status) {
      reply.status = info.response_code = *mapper->status;
      headers.set_status(reply.status);
    }
    if (mapper->format) format = &*mapper->format;
  }
  if (format != nullptr) {
    info.local_reply_body = reply.body;
    scratch.clear();
    format->format->append(info, scratch);
    reply.body = headers.arena().copy(scratch);
    reply.content_type = format->content_type;
    info.local_reply_body = {};
  }
  info.log_entry = http::LogEntry::End;
}

}  // namespace remora::connection_manager
