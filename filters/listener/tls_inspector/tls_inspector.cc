// See the header. The worker's thread.
#include "filters/listener/tls_inspector/tls_inspector.h"

#include <algorithm>
#include <utility>

#include "filters/listener/tls_inspector/fingerprint.h"

namespace remora::filters {
namespace {

constexpr std::string_view kMetadata = "envoy.filters.listener.tls_inspector";
constexpr std::string_view kFailureReason = "failure_reason";
constexpr uint16_t kOldestVersion = 0x0301;  // TLS 1.0
constexpr uint16_t kNewestVersion = 0x0304;  // TLS 1.3

void leave_reason(ConnectionFacts& facts, std::string_view reason) {
  facts.metadata.at(kMetadata).insert_or_assign(std::string(kFailureReason), reason);
}

}  // namespace

size_t TlsInspector::max_peek_bytes() const {
  return std::min(std::max(config_.first_peek_bytes, reader_.wanted()),
                  config_.max_client_hello_bytes);
}

ListenerFilter::Status TlsInspector::on_peek(ListenerFilterContext& context,
                                             std::string_view bytes) {
  const ClientHelloReader::Result result = reader_.read(bytes);
  if (result == ClientHelloReader::Result::NeedMore) return Status::NeedData;
  auto& stats = config_.stats->at(context.worker_index());
  stats.record(TlsInspectorHistogram::bytes_processed, reader_.looked_at());
  ConnectionFacts& facts = context.facts();
  switch (result) {
    case ClientHelloReader::Result::Found:
      return on_hello(facts, stats);
    case ClientHelloReader::Result::TooLarge:
      stats.inc(TlsInspectorStat::client_hello_too_large);
      leave_reason(facts, "ClientHelloTooLarge");
      return Status::Reject;
    default:
      break;
  }
  stats.inc(TlsInspectorStat::tls_not_found);
  if (config_.reject_plain) return Status::Reject;
  leave_reason(facts, "ClientHelloNotDetected");
  facts.transport_protocol = "raw_buffer";
  return Status::Done;
}

ListenerFilter::Status TlsInspector::on_hello(ConnectionFacts& facts,
                                              stats::Slab<TlsInspectorSchema>& stats) {
  ClientHello& hello = reader_.hello();
  stats.inc(hello.server_name.empty() ? TlsInspectorStat::sni_not_found
                                      : TlsInspectorStat::sni_found);
  if (hello.version < kOldestVersion || hello.version > kNewestVersion) {
    stats.inc(TlsInspectorStat::tls_not_found);
    return Status::Reject;
  }
  if (config_.ja3 || config_.ja4) {
    facts.fingerprints = std::make_unique<TlsFingerprints>();
    if (config_.ja3) facts.fingerprints->ja3 = ja3(hello);
    if (config_.ja4) facts.fingerprints->ja4 = ja4(hello);
  }
  const bool has_protocols = !hello.application_protocols.empty();
  stats.inc(TlsInspectorStat::tls_found);
  stats.inc(has_protocols ? TlsInspectorStat::alpn_found : TlsInspectorStat::alpn_not_found);
  facts.transport_protocol = "tls";
  if (!hello.server_name.empty()) facts.requested_server_name = std::move(hello.server_name);
  if (has_protocols) facts.application_protocols = std::move(hello.application_protocols);
  return Status::Done;
}

}  // namespace remora::filters
