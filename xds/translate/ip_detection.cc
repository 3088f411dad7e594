#include "xds/translate/ip_detection.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include "api/ip_detection_custom_header.pb.h"
#include "api/ip_detection_xff.pb.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using connection_manager::DetectByForwarded;
using connection_manager::DetectByHeader;
using connection_manager::IpDetection;
using envoy::extensions::http::original_ip_detection::custom_header::v3::CustomHeaderConfig;
using envoy::extensions::http::original_ip_detection::xff::v3::XffConfig;

constexpr uint16_t kDefaultRejectStatus = 403;

absl::StatusOr<IpDetection> by_forwarded(const XffConfig& from, const Path& path) {
  DetectByForwarded out;
  out.trusted_hops = from.xff_num_trusted_hops();
  out.skip_append = !from.has_skip_xff_append() || from.skip_xff_append().value();
  const Path ranges = path.field("xff_trusted_cidrs");
  if (from.has_xff_trusted_cidrs() && out.trusted_hops > 0) {
    return ranges.error("and xff_num_trusted_hops exclude each other");
  }
  REMORA_TRY_ASSIGN(out.trusted_ranges,
                    cidr_ranges(from.xff_trusted_cidrs().cidrs(), "cidrs", ranges));
  return out;
}

absl::StatusOr<IpDetection> by_header(const CustomHeaderConfig& from, const Path& path) {
  DetectByHeader out;
  REMORA_TRY(check_header_name(from.header_name(), path.field("header_name")));
  out.name = absl::AsciiStrToLower(from.header_name());
  out.trusted = from.allow_extension_to_set_address_as_trusted();
  if (from.has_reject_with_status()) {
    const int status = from.reject_with_status().code();
    out.reject_status =
        status < 400 || status > 511 ? kDefaultRejectStatus : static_cast<uint16_t>(status);
  }
  return out;
}

template <class Proto>
absl::StatusOr<IpDetection> compile(const TypedBytes& config,
                                    absl::StatusOr<IpDetection> (*read)(const Proto&, const Path&),
                                    const Path& path) {
  Proto from;
  if (!from.ParseFromString(config.bytes)) return path.error("is not a valid message");
  return read(from, path);
}

absl::StatusOr<IpDetection> detection(const google::protobuf::Any& any, const Path& path) {
  TypedBytes config;
  REMORA_TRY_ASSIGN(config, unwrap(any, path));
  if (config.type == XffConfig::descriptor()->full_name()) {
    return compile<XffConfig>(config, by_forwarded, path);
  }
  if (config.type == CustomHeaderConfig::descriptor()->full_name()) {
    return compile<CustomHeaderConfig>(config, by_header, path);
  }
  return path.error(absl::StrCat("unknown type ", config.type));
}

}  // namespace

absl::StatusOr<std::vector<IpDetection>> ip_detections(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::TypedExtensionConfig>& protos,
    const Path& path) {
  std::vector<IpDetection> out;
  for (int i = 0; i < protos.size(); ++i) {
    const Path here = path.at("original_ip_detection_extensions", i);
    auto compiled = detection(protos[i].typed_config(), here.field("typed_config"));
    if (!compiled.ok()) return compiled.status();
    out.push_back(*std::move(compiled));
  }
  return out;
}

}  // namespace remora::xds::translate
