// Small values that every resource is made of: durations, addresses, socket options, sources,
// regular expressions. Each answers a value or an error with its path. Pure functions; main thread.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <re2/re2.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/core.pb.h"
#include "api/matcher.pb.h"
#include "proxy/net/address.h"
#include "proxy/net/config_source.h"
#include "proxy/net/socket.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

// Leaves the function with an error. For functions that answer a Status or a StatusOr.
#define REMORA_TRY(expression) \
  if (absl::Status try_status = (expression); !try_status.ok()) return try_status
// The same, and otherwise assigns the value to `target`, which exists already.
#define REMORA_TRY_ASSIGN(target, expression)           \
  if (auto try_result = (expression); !try_result.ok()) \
    return try_result.status();                         \
  else                                                  \
    target = *std::move(try_result)

/// Milliseconds; what is shorter than one counts as one. Refuses negative and malformed durations.
absl::StatusOr<uint64_t> milliseconds(const google::protobuf::Duration& duration, const Path& path);
/// The same, and zero is refused.
absl::StatusOr<uint64_t> positive_milliseconds(const google::protobuf::Duration& duration,
                                               const Path& path);

/// Refuses what is not from 0 to 100.
absl::Status check_percent(const envoy::type::v3::Percent& percent, const Path& path);
/// The most by which a time is longer than configured; milliseconds.
absl::StatusOr<uint64_t> jitter(const envoy::type::v3::Percent& percent, uint64_t of_ms,
                                const Path& path);

/// An address to listen on or connect to: an IP literal with port, or a Unix path.
absl::StatusOr<Address> address(const envoy::config::core::v3::Address& proto, const Path& path);
absl::StatusOr<Address> socket_address(const envoy::config::core::v3::SocketAddress& proto,
                                       const Path& path);
/// What socket_address() checks besides the IP: TCP, and a port in range.
absl::StatusOr<uint16_t> tcp_port(const envoy::config::core::v3::SocketAddress& proto,
                                  const Path& path);

absl::StatusOr<CidrRange> cidr_range(const envoy::config::core::v3::CidrRange& proto,
                                     const Path& path);
absl::StatusOr<std::vector<CidrRange>> cidr_ranges(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::CidrRange>& protos,
    std::string_view name, const Path& path);

absl::StatusOr<std::vector<SocketOption>> socket_options(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::SocketOption>& protos,
    std::string_view name, const Path& path);
TcpKeepalive tcp_keepalive(const envoy::config::core::v3::TcpKeepalive& proto);

/// Where a resource comes from. `path` is that of the ConfigSource.
absl::StatusOr<ConfigSource> config_source(const envoy::config::core::v3::ConfigSource& proto,
                                           const Path& path);
/// A discovery service: the cluster that serves it, and whether it speaks the delta protocol.
absl::StatusOr<ConfigSource> api_config_source(
    const envoy::config::core::v3::ApiConfigSource& proto, const Path& path);

/// The text of a data source: inline, from a file or from the environment.
absl::StatusOr<std::string> data_source(const envoy::config::core::v3::DataSource& proto,
                                        const Path& path, size_t max_bytes);

/// A regular expression within the runtime's bound on its size.
absl::StatusOr<std::shared_ptr<const re2::RE2>> regex(
    const envoy::type::matcher::v3::RegexMatcher& proto, const Context& context, const Path& path);

/// Refuses names and values that would break a header block.
absl::Status check_header_name(std::string_view name, const Path& path);
absl::Status check_header_value(std::string_view value, const Path& path);

/// The name under which a request's headers have what a configuration calls `name`.
std::string request_header_name(const std::string& name);

}  // namespace remora::xds::translate
