// See the header. The worker's thread.
#include "filters/listener/http_inspector/http_inspector.h"

#include <algorithm>

namespace remora::filters {

ListenerFilter::Status HttpInspector::on_accept(ListenerFilterContext& context) {
  const std::string& transport = context.facts().transport_protocol;
  return transport.empty() || transport == "raw_buffer" ? Status::NeedData : Status::Done;
}

ListenerFilter::Status HttpInspector::on_peek(ListenerFilterContext& context,
                                              std::string_view bytes) {
  seen_ = bytes.size();
  auto& stats = stats_.at(context.worker_index());
  auto& protocols = context.facts().application_protocols;
  switch (reader_.read(bytes)) {
    case FirstLineReader::Result::NeedMore:
      if (seen_ >= kMaxLineBytes) {
        stats.inc(HttpInspectorStat::read_error);
        return Status::Reject;
      }
      if (seen_ >= room_) room_ = std::min(2 * room_, kMaxLineBytes);
      return Status::NeedData;
    case FirstLineReader::Result::Http10:
      stats.inc(HttpInspectorStat::http10_found);
      protocols = {"http/1.0"};
      return Status::Done;
    case FirstLineReader::Result::Http11:
      stats.inc(HttpInspectorStat::http11_found);
      protocols = {"http/1.1"};
      return Status::Done;
    case FirstLineReader::Result::Http2:
      stats.inc(HttpInspectorStat::http2_found);
      protocols = {"h2c"};
      return Status::Done;
    case FirstLineReader::Result::NotHttp:
      break;
  }
  stats.inc(HttpInspectorStat::http_not_found);
  return Status::Done;
}

}  // namespace remora::filters
