// See the header. The worker's thread.
#include "filters/listener/proxy_protocol/proxy_protocol.h"

#include <absl/strings/escaping.h>

#include <algorithm>

#include "proxy/base/utf8.h"
#include "proxy/net/proxy_protocol.h"

namespace remora::filters {
namespace {

/// Enough for a header without extensions.
constexpr size_t kFirstPeekBytes = 256;

std::string text_of(std::string_view value, const ProxyProtocolConfig::MetadataRule& rule) {
  if (!rule.base64) return sanitized_utf8(value);
  std::string out;
  absl::Base64Escape({value.data(), value.size()}, &out);
  return out;
}

}  // namespace

size_t ProxyProtocol::max_peek_bytes() const { return std::max(kFirstPeekBytes, wanted_); }

ListenerFilter::Status ProxyProtocol::on_peek(ListenerFilterContext& context,
                                              std::string_view bytes) {
  const ProxyHeader header = read_proxy_header(bytes, config_.rules);
  switch (header.result) {
    case ProxyHeader::Result::NeedMore:
      wanted_ = header.wanted;
      return Status::NeedData;
    case ProxyHeader::Result::Found:
      return on_header(context, header);
    case ProxyHeader::Result::NotFound:
      if (config_.rules.required) break;
      config_.stats->at(context.worker_index()).inc(ProxyProtocolStat::not_found_allowed);
      return Status::Done;
    case ProxyHeader::Result::Malformed:
    case ProxyHeader::Result::Disallowed:
      break;
  }
  count_refused(context.worker_index(), header);
  return Status::Reject;
}

ListenerFilter::Status ProxyProtocol::on_header(ListenerFilterContext& context,
                                                const ProxyHeader& header) {
  auto& stats = header.version == ProxyVersion::V1 ? config_.v1_stats : config_.v2_stats;
  stats->at(context.worker_index()).inc(ProxyProtocolVersionStat::found);
  if (!header.own_addresses) {
    ConnectionFacts& facts = context.facts();
    if (facts.local != header.destination) {
      facts.local = header.destination;
      facts.local_restored = true;
    }
    facts.remote = header.source;
    keep_extensions(header.extensions, facts);
  }
  return context.consume(header.length) ? Status::Done : Status::Reject;
}

void ProxyProtocol::keep_extensions(std::string_view extensions, ConnectionFacts& facts) const {
  std::string passed_on;
  std::string_view rest = extensions;
  while (const auto extension = take_proxy_extension(rest)) {
    if (const auto& rule = config_.metadata[extension->type]) {
      // The first of a type counts.
      facts.metadata.at(rule->metadata_namespace)
          .try_emplace(rule->key, text_of(extension->value, *rule));
    }
    if (config_.pass_through[extension->type]) {
      const size_t begin = static_cast<size_t>(extension->value.data() - extensions.data()) - 3;
      passed_on.append(extensions.substr(begin, 3 + extension->value.size()));
    }
  }
  if (!passed_on.empty()) facts.filter_state.set(kProxyProtocolExtensions, std::move(passed_on));
}

void ProxyProtocol::count_refused(uint32_t worker, const ProxyHeader& header) const {
  auto& stats = header.version == ProxyVersion::V1 ? config_.v1_stats : config_.v2_stats;
  if (header.result == ProxyHeader::Result::Disallowed) {
    stats->at(worker).inc(ProxyProtocolVersionStat::found);
    stats->at(worker).inc(ProxyProtocolVersionStat::disallowed);
    return;
  }
  config_.error_stats->at(worker).inc(ProxyProtocolErrorStat::downstream_cx_proxy_proto_error);
  if (header.result == ProxyHeader::Result::Malformed) {
    stats->at(worker).inc(ProxyProtocolVersionStat::error);
  } else {
    config_.stats->at(worker).inc(ProxyProtocolStat::not_found_disallowed);
  }
}

}  // namespace remora::filters
