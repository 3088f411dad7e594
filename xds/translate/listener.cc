#include "xds/translate/listener.h"

#include <absl/strings/str_cat.h>

#include "proxy/stats/names.h"
#include "proxy/stats/schemas.h"
#include "proxy/stats/store.h"
#include "xds/translate/access_log.h"
#include "xds/translate/filter_chain.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;
using Listener = envoy::config::listener::v3::Listener;

TrafficDirection direction(core::TrafficDirection from) {
  if (from == core::INBOUND) return TrafficDirection::Inbound;
  return from == core::OUTBOUND ? TrafficDirection::Outbound : TrafficDirection::Unspecified;
}

bool binds(const Listener& from) {
  if (from.has_bind_to_port()) return from.bind_to_port().value();
  return !from.deprecated_v1().has_bind_to_port() || from.deprecated_v1().bind_to_port().value();
}

absl::Status read_addresses(const Listener& from, ListenerConfig* out, const Path& path) {
  const Path at = path.field("address");
  if (!from.has_address()) return at.error("is required");
  auto main = address(from.address(), at);
  if (!main.ok()) return main.status();
  out->addresses.push_back(*std::move(main));
  for (int i = 0; i < from.additional_addresses_size(); ++i) {
    const Path here = path.at("additional_addresses", i);
    auto more = address(from.additional_addresses(i).address(), here.field("address"));
    if (!more.ok()) return more.status();
    out->addresses.push_back(*std::move(more));
  }
  out->ipv4_compat = from.address().socket_address().ipv4_compat();
  if (out->ipv4_compat && out->addresses.front().family() != Address::Family::V6) {
    return at.field("socket_address.ipv4_compat").error("is for IPv6 addresses only");
  }
  if (from.address().has_pipe() && from.address().pipe().mode() != 0) {
    if (from.address().pipe().mode() > 0777) {
      return at.field("pipe.mode").error("is above 0777");
    }
    out->unix_mode = from.address().pipe().mode();
  }
  return absl::OkStatus();
}

absl::Status read_sockets(const Listener& from, ListenerConfig* out, const Path& path) {
  out->bind_to_port = binds(from);
  out->use_original_dst = from.use_original_dst().value();
  out->transparent = from.transparent().value();
  out->freebind = from.freebind().value();
  if (from.has_enable_reuse_port()) out->reuse_port = from.enable_reuse_port().value();
  if (from.has_tcp_backlog_size()) out->backlog = from.tcp_backlog_size().value();
  if (from.has_per_connection_buffer_limit_bytes()) {
    out->per_connection_buffer_limit = from.per_connection_buffer_limit_bytes().value();
  }
  if (from.has_max_connections_to_accept_per_socket_event()) {
    out->max_accepts_per_event = from.max_connections_to_accept_per_socket_event().value();
    if (out->max_accepts_per_event == 0) {
      return path.field("max_connections_to_accept_per_socket_event").error("must be at least 1");
    }
  }
  REMORA_TRY_ASSIGN(out->socket_options,
                    socket_options(from.socket_options(), "socket_options", path));
  return absl::OkStatus();
}

constexpr char kOriginalDst[] =
    "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst";

/// use_original_dst implies the listener filter, when the list does not have it already.
absl::Status imply_original_dst(const Listener& from, Context& context, ListenerConfig* out,
                                const Path& path) {
  if (!from.use_original_dst().value()) return absl::OkStatus();
  for (const auto& filter : from.listener_filters()) {
    if (filter.typed_config().type_url() == kOriginalDst) return absl::OkStatus();
  }
  envoy::config::listener::v3::ListenerFilter implied;
  implied.set_name("envoy.filters.listener.original_dst");
  implied.mutable_typed_config()->set_type_url(kOriginalDst);
  auto filter = listener_filter(implied, context, path.field("use_original_dst"));
  if (!filter.ok()) return filter.status();
  out->listener_filters.push_back(*std::move(filter));
  return absl::OkStatus();
}

absl::Status read_listener_filters(const Listener& from, Context& context, ListenerConfig* out,
                                   const Path& path) {
  REMORA_TRY(imply_original_dst(from, context, out, path));
  for (int i = 0; i < from.listener_filters_size(); ++i) {
    auto filter =
        listener_filter(from.listener_filters(i), context, path.at("listener_filters", i));
    if (!filter.ok()) return filter.status();
    out->listener_filters.push_back(*std::move(filter));
  }
  if (from.has_listener_filters_timeout()) {
    REMORA_TRY_ASSIGN(
        out->listener_filters_timeout_ms,
        milliseconds(from.listener_filters_timeout(), path.field("listener_filters_timeout")));
  }
  out->continue_on_listener_filters_timeout = from.continue_on_listener_filters_timeout();
  return absl::OkStatus();
}

absl::Status read_chains(const Listener& from, Context& context, ListenerConfig* out,
                         const Path& path) {
  if (from.filter_chains_size() == 0 && !from.has_default_filter_chain()) {
    return path.field("filter_chains").error("no filter chains specified");
  }
  for (int i = 0; i < from.filter_chains_size(); ++i) {
    const Path here = path.at("filter_chains", i);
    auto chain = filter_chain(from.filter_chains(i), context, here);
    if (!chain.ok()) return chain.status();
    if (absl::Status status = out->matcher.add(chain->match, static_cast<size_t>(i));
        !status.ok()) {
      return here.field("filter_chain_match").error(std::string(status.message()));
    }
    out->chains.push_back(*std::move(chain));
  }
  if (from.has_default_filter_chain()) {
    const Path here = path.field("default_filter_chain");
    REMORA_TRY_ASSIGN(out->default_chain, filter_chain(from.default_filter_chain(), context, here));
    // Its filter_chain_match says nothing: it serves what no other chain does.
  }
  return absl::OkStatus();
}

// Equal hashes: the sockets that are open serve the new configuration too.
uint64_t socket_hash(const Listener& from) {
  Listener sockets;
  *sockets.mutable_address() = from.address();
  *sockets.mutable_additional_addresses() = from.additional_addresses();
  *sockets.mutable_socket_options() = from.socket_options();
  sockets.mutable_bind_to_port()->set_value(binds(from));
  sockets.mutable_transparent()->set_value(from.transparent().value());
  sockets.mutable_freebind()->set_value(from.freebind().value());
  sockets.mutable_enable_reuse_port()->set_value(!from.has_enable_reuse_port() ||
                                                 from.enable_reuse_port().value());
  *sockets.mutable_tcp_backlog_size() = from.tcp_backlog_size();
  return content_hash(sockets);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ListenerConfig>> listener(const Listener& from,
                                                               Context& context) {
  context.resource = absl::StrCat("listener '", from.name(), "'");
  const Path root;
  REMORA_TRY(context.check_unknown(from, root));
  auto out = std::make_shared<ListenerConfig>();
  REMORA_TRY(read_addresses(from, out.get(), root));
  out->name = from.name().empty() ? out->addresses.front().to_string() : from.name();
  out->stat_prefix = from.stat_prefix();
  context.listener_stat_name =
      out->stat_prefix.empty() ? out->addresses.front().to_string() : out->stat_prefix;
  out->stats = context.stats.group<stats::ListenerSchema>(
      stats::listener_prefix(context.listener_stat_name));
  out->direction = direction(from.traffic_direction());
  out->drain_modify_only = from.drain_type() == Listener::MODIFY_ONLY;
  out->ignore_global_connection_limit = from.ignore_global_conn_limit();
  REMORA_TRY(read_sockets(from, out.get(), root));
  REMORA_TRY(read_listener_filters(from, context, out.get(), root));
  REMORA_TRY(read_chains(from, context, out.get(), root));
  REMORA_TRY_ASSIGN(out->access_logs, access_logs(from.access_log(), "access_log", context, root));
  out->content_hash = content_hash(from);
  out->socket_hash = socket_hash(from);
  return out;
}

}  // namespace remora::xds::translate
