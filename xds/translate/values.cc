#include "xds/translate/values.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "xds/translate/runtime.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;

constexpr int64_t kMaxDurationSeconds = 315'576'000'000;  // protobuf's own bound
constexpr uint64_t kDefaultFetchTimeoutMs = 15'000;
constexpr uint32_t kNoRegexBound = std::numeric_limits<uint32_t>::max();

bool breaks_header_block(std::string_view value) {
  return std::ranges::any_of(value, [](char c) { return c == '\0' || c == '\r' || c == '\n'; });
}

absl::StatusOr<SocketOption> socket_option(const core::SocketOption& proto, const Path& path) {
  SocketOption option;
  const auto fits = [](int64_t v) { return v >= 0 && v <= std::numeric_limits<int>::max(); };
  if (!fits(proto.level())) return path.field("level").error("is out of range");
  if (!fits(proto.name())) return path.field("name").error("is out of range");
  option.level = static_cast<int>(proto.level());
  option.name = static_cast<int>(proto.name());
  if (proto.has_int_value()) {
    if (proto.int_value() < std::numeric_limits<int>::min() ||
        proto.int_value() > std::numeric_limits<int>::max()) {
      return path.field("int_value").error("is out of range");
    }
    const int value = static_cast<int>(proto.int_value());
    option.value.assign(reinterpret_cast<const char*>(&value), sizeof(value));
  } else if (proto.value_case() == core::SocketOption::kBufValue) {
    option.value = proto.buf_value();
  } else {
    return path.error("has neither int_value nor buf_value");
  }
  switch (proto.state()) {
    case core::SocketOption::STATE_BOUND:
      option.state = SocketOption::State::Bound;
      break;
    case core::SocketOption::STATE_LISTENING:
      option.state = SocketOption::State::Listening;
      break;
    default:
      option.state = SocketOption::State::PreBind;
  }
  return option;
}

absl::Status read_grpc_service(const core::GrpcService& proto, const Path& path,
                               ConfigSource* out) {
  if (!proto.has_envoy_grpc() || proto.envoy_grpc().cluster_name().empty()) {
    return path.field("envoy_grpc.cluster_name").error("is required");
  }
  out->cluster = proto.envoy_grpc().cluster_name();
  if (!proto.envoy_grpc().authority().empty()) {
    const Path authority = path.field("envoy_grpc.authority");
    REMORA_TRY(check_header_value(proto.envoy_grpc().authority(), authority));
    out->initial_metadata.emplace_back(":authority", proto.envoy_grpc().authority());
  }
  for (int i = 0; i < proto.initial_metadata_size(); ++i) {
    const core::HeaderValue& header = proto.initial_metadata(i);
    const Path here = path.at("initial_metadata", i);
    const std::string& value = header.raw_value().empty() ? header.value() : header.raw_value();
    REMORA_TRY(check_header_name(header.key(), here.field("key")));
    REMORA_TRY(check_header_value(value, here.field("value")));
    out->initial_metadata.emplace_back(header.key(), value);
  }
  return absl::OkStatus();
}

// A file that is not there yet would be waited for in vain when its name is mistyped.
absl::Status check_exists(const std::string& name, const Path& path) {
  if (name.empty()) return path.error("is required");
  std::error_code ignored;
  if (std::filesystem::exists(name, ignored)) return absl::OkStatus();
  return path.error(
      absl::StrCat("must refer to an existing path in the system: '", name, "' does not exist"));
}

absl::StatusOr<std::string> read_file(const std::string& name, const Path& path, size_t max_bytes) {
  std::ifstream in(name, std::ios::binary);
  if (!in) return path.error(absl::StrCat("cannot read file ", name));
  std::string content(max_bytes + 1, '\0');
  in.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<size_t>(in.gcount()));
  return content;
}

}  // namespace

absl::StatusOr<uint64_t> milliseconds(const google::protobuf::Duration& duration,
                                      const Path& path) {
  if (duration.seconds() < 0 || duration.nanos() < 0) return path.error("must not be negative");
  if (duration.seconds() > kMaxDurationSeconds || duration.nanos() > 999'999'999) {
    return path.error("is out of range");
  }
  const uint64_t ms = static_cast<uint64_t>(duration.seconds()) * 1000 +
                      static_cast<uint64_t>(duration.nanos()) / 1'000'000;
  return ms == 0 && duration.nanos() > 0 ? 1 : ms;
}

absl::StatusOr<uint64_t> positive_milliseconds(const google::protobuf::Duration& duration,
                                               const Path& path) {
  auto ms = milliseconds(duration, path);
  if (ms.ok() && *ms == 0) return path.error("must be greater than 0s");
  return ms;
}

absl::Status check_percent(const envoy::type::v3::Percent& percent, const Path& path) {
  const bool within = percent.value() >= 0 && percent.value() <= 100;  // not so for NaN
  return within ? absl::OkStatus() : path.error("must be from 0 to 100");
}

absl::StatusOr<uint64_t> jitter(const envoy::type::v3::Percent& percent, uint64_t of_ms,
                                const Path& path) {
  REMORA_TRY(check_percent(percent, path));
  return static_cast<uint64_t>(static_cast<double>(of_ms) * percent.value() / 100);
}

absl::StatusOr<uint16_t> tcp_port(const core::SocketAddress& proto, const Path& path) {
  if (proto.protocol() != core::SocketAddress::TCP) {
    return path.field("protocol").error("only TCP is supported");
  }
  if (proto.port_specifier_case() != core::SocketAddress::kPortValue) {
    return path.field("port_value").error("is required");
  }
  if (proto.port_value() > 65535) return path.field("port_value").error("is above 65535");
  return static_cast<uint16_t>(proto.port_value());
}

absl::StatusOr<Address> socket_address(const core::SocketAddress& proto, const Path& path) {
  auto port = tcp_port(proto, path);
  if (!port.ok()) return port.status();
  if (proto.address().empty()) return path.field("address").error("is required");
  auto address = Address::from_ip(proto.address(), *port);
  if (!address.ok()) {
    return path.field("address").error(absl::StrCat("malformed IP address: ", proto.address()));
  }
  return address;
}

absl::StatusOr<Address> address(const core::Address& proto, const Path& path) {
  if (proto.has_socket_address()) {
    return socket_address(proto.socket_address(), path.field("socket_address"));
  }
  if (!proto.has_pipe()) return path.error("has neither socket_address nor pipe");
  auto address = Address::from_unix_path(proto.pipe().path());
  if (!address.ok()) {
    return path.field("pipe.path").error(std::string(address.status().message()));
  }
  return address;
}

absl::StatusOr<CidrRange> cidr_range(const core::CidrRange& proto, const Path& path) {
  if (proto.address_prefix().empty()) return path.field("address_prefix").error("is required");
  if (proto.prefix_len().value() > 128) return path.field("prefix_len").error("is above 128");
  auto range = CidrRange::make(proto.address_prefix(), proto.prefix_len().value());
  if (!range.ok()) return path.error(std::string(range.status().message()));
  return range;
}

absl::StatusOr<std::vector<CidrRange>> cidr_ranges(
    const google::protobuf::RepeatedPtrField<core::CidrRange>& protos, std::string_view name,
    const Path& path) {
  std::vector<CidrRange> out;
  for (int i = 0; i < protos.size(); ++i) {
    auto range = cidr_range(protos[i], path.at(name, i));
    if (!range.ok()) return range.status();
    out.push_back(*std::move(range));
  }
  return out;
}

absl::StatusOr<std::vector<SocketOption>> socket_options(
    const google::protobuf::RepeatedPtrField<core::SocketOption>& protos, std::string_view name,
    const Path& path) {
  std::vector<SocketOption> out;
  for (int i = 0; i < protos.size(); ++i) {
    auto option = socket_option(protos[i], path.at(name, i));
    if (!option.ok()) return option.status();
    out.push_back(*std::move(option));
  }
  return out;
}

TcpKeepalive tcp_keepalive(const core::TcpKeepalive& proto) {
  TcpKeepalive out;
  out.enabled = true;
  if (proto.has_keepalive_probes()) out.probes = proto.keepalive_probes().value();
  if (proto.has_keepalive_time()) out.time_s = proto.keepalive_time().value();
  if (proto.has_keepalive_interval()) out.interval_s = proto.keepalive_interval().value();
  return out;
}

absl::StatusOr<ConfigSource> api_config_source(const core::ApiConfigSource& proto,
                                               const Path& path) {
  ConfigSource out;
  switch (proto.api_type()) {
    case core::ApiConfigSource::GRPC:
      out.kind = ConfigSource::Kind::Grpc;
      break;
    case core::ApiConfigSource::DELTA_GRPC:
      out.kind = ConfigSource::Kind::DeltaGrpc;
      break;
    default:
      return path.field("api_type").error("only GRPC and DELTA_GRPC are supported");
  }
  if (proto.transport_api_version() != core::V3) {
    return path.field("transport_api_version").error("must be V3");
  }
  if (proto.cluster_names_size() > 0) {
    return path.field("cluster_names").error("is for REST; use grpc_services");
  }
  if (proto.grpc_services_size() != 1) {
    return path.field("grpc_services").error("must have exactly one element");
  }
  REMORA_TRY(read_grpc_service(proto.grpc_services(0), path.at("grpc_services", 0), &out));
  out.set_node_on_first_message_only = proto.set_node_on_first_message_only();
  return out;
}

absl::StatusOr<ConfigSource> config_source(const core::ConfigSource& proto, const Path& path) {
  ConfigSource out;
  switch (proto.config_source_specifier_case()) {
    case core::ConfigSource::kAds:
      break;
    case core::ConfigSource::kApiConfigSource:
      REMORA_TRY_ASSIGN(
          out, api_config_source(proto.api_config_source(), path.field("api_config_source")));
      break;
    case core::ConfigSource::kPathConfigSource:
      out.kind = ConfigSource::Kind::Path;
      out.path = proto.path_config_source().path();
      out.watched_directory = proto.path_config_source().watched_directory().path();
      REMORA_TRY(check_exists(out.path, path.field("path_config_source.path")));
      break;
    case core::ConfigSource::kPath:
      out.kind = ConfigSource::Kind::Path;
      out.path = proto.path();
      REMORA_TRY(check_exists(out.path, path.field("path")));
      break;
    case core::ConfigSource::CONFIG_SOURCE_SPECIFIER_NOT_SET:
      return path.error("says no source that is supported");
  }
  if (proto.resource_api_version() == core::V2) {
    return path.field("resource_api_version").error("must be V3");
  }
  out.initial_fetch_timeout_ms = kDefaultFetchTimeoutMs;
  if (proto.has_initial_fetch_timeout()) {
    REMORA_TRY_ASSIGN(
        out.initial_fetch_timeout_ms,
        milliseconds(proto.initial_fetch_timeout(), path.field("initial_fetch_timeout")));
  }
  return out;
}

absl::StatusOr<std::string> data_source(const core::DataSource& proto, const Path& path,
                                        size_t max_bytes) {
  std::string content;
  switch (proto.specifier_case()) {
    case core::DataSource::kInlineString:
      content = proto.inline_string();
      break;
    case core::DataSource::kInlineBytes:
      content = proto.inline_bytes();
      break;
    case core::DataSource::kFilename:
      REMORA_TRY_ASSIGN(content, read_file(proto.filename(), path.field("filename"), max_bytes));
      break;
    case core::DataSource::kEnvironmentVariable: {
      const char* value = std::getenv(proto.environment_variable().c_str());
      if (value == nullptr) {
        return path.field("environment_variable")
            .error(absl::StrCat(proto.environment_variable(), " is not set"));
      }
      content = value;
      break;
    }
    case core::DataSource::SPECIFIER_NOT_SET:
      return path.error("has no source");
  }
  if (content.size() > max_bytes) {
    return path.error(absl::StrCat("is longer than ", max_bytes, " bytes"));
  }
  return content;
}

absl::StatusOr<std::shared_ptr<const re2::RE2>> regex(
    const envoy::type::matcher::v3::RegexMatcher& proto, const Context& context, const Path& path) {
  if (proto.regex().empty()) return path.field("regex").error("is required");
  auto compiled = std::make_shared<re2::RE2>(proto.regex(), re2::RE2::Quiet);
  if (!compiled->ok()) {
    return path.field("regex").error(
        absl::StrCat("invalid regular expression: ", compiled->error()));
  }
  uint32_t bound = kNoRegexBound;
  if (proto.google_re2().has_max_program_size()) {
    bound = proto.google_re2().max_program_size().value();
  } else if (context.runtime != nullptr) {
    const auto limit = context.runtime->number("re2.max_program_size.error_level");
    if (limit && *limit >= 0 && *limit < kNoRegexBound) bound = static_cast<uint32_t>(*limit);
  }
  if (compiled->ProgramSize() > 0 && static_cast<uint32_t>(compiled->ProgramSize()) > bound) {
    return path.field("regex").error(
        absl::StrCat("program size ", compiled->ProgramSize(), " is above the limit of ", bound));
  }
  return compiled;
}

absl::Status check_header_name(std::string_view name, const Path& path) {
  if (name.empty()) return path.error("is required");
  constexpr std::string_view kSymbols = "!#$%&'*+-.^_`|~";
  const bool pseudo = name.front() == ':' && name.size() > 1;
  const bool token = std::ranges::all_of(name.substr(pseudo ? 1 : 0), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kSymbols.find(c) != std::string_view::npos;
  });
  return token ? absl::OkStatus() : path.error("is not a header name");
}

absl::Status check_header_value(std::string_view value, const Path& path) {
  return breaks_header_block(value) ? path.error("is not a header value") : absl::OkStatus();
}

std::string request_header_name(const std::string& name) {
  std::string lower = absl::AsciiStrToLower(name);
  return lower == "host" ? ":authority" : lower;
}

}  // namespace remora::xds::translate
