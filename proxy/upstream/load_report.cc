// Reads load reports in their three forms: protobuf, JSON and text.
#include "proxy/upstream/load_report.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/escaping.h>
#include <absl/strings/numbers.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "proxy/base/json.h"

namespace remora::upstream {
namespace {

constexpr std::string_view kHeader = "endpoint-load-metrics";
constexpr std::string_view kBinaryHeader = "endpoint-load-metrics-bin";

// A field of the report that is one number, under its names in text and JSON and its number in
// protobuf.
struct Scalar {
  std::string_view name;
  std::string_view json_name;
  uint32_t number;
  double LoadReport::*value;
};
constexpr Scalar kScalars[] = {
    {"cpu_utilization", "cpuUtilization", 1, &LoadReport::cpu_utilization},
    {"mem_utilization", "memUtilization", 2, &LoadReport::mem_utilization},
    {"rps_fractional", "rpsFractional", 6, &LoadReport::requests_per_second},
    {"eps", "eps", 7, &LoadReport::errors_per_second},
    {"application_utilization", "applicationUtilization", 9, &LoadReport::application_utilization},
};

// The same for a field of numbers by name.
struct Family {
  std::string_view prefix;
  std::string_view name;
  std::string_view json_name;
  uint32_t number;
};
constexpr Family kFamilies[] = {
    {"request_cost.", "request_cost", "requestCost", 4},
    {"utilization.", "utilization", "utilization", 5},
    {"named_metrics.", "named_metrics", "namedMetrics", 8},
};
constexpr const Family& kNamedMetrics = kFamilies[2];

class Collector {
 public:
  explicit Collector(const MetricNames& wanted) : wanted_(wanted) {}

  void take(const Family& family, std::string_view key, double value) {
    for (std::string_view name : wanted_) {
      if (!name.starts_with(family.prefix)) continue;
      name.remove_prefix(family.prefix.size());
      if (name == "*" || name == key) {
        report_.highest_wanted = std::max(report_.highest_wanted, value);
      }
    }
  }
  void take(const Scalar& scalar, double value) { report_.*scalar.value = value; }

  LoadReport finish() {
    for (const Scalar& scalar : kScalars) {
      if (std::ranges::find(wanted_, scalar.name) == wanted_.end()) continue;
      report_.highest_wanted = std::max(report_.highest_wanted, report_.*scalar.value);
    }
    return report_;
  }

 private:
  const MetricNames& wanted_;
  LoadReport report_;
};

// ------------------------------------------------------------------------------------------------
// text: "cpu_utilization:0.3, named_metrics.queue:0.8"

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t";
  const size_t first = std::min(text.find_first_not_of(kBlank), text.size());
  return text.substr(first, text.find_last_not_of(kBlank) + 1 - first);
}

/// None: it is no number, or none that means anything.
std::optional<double> number_in(std::string_view text) {
  double number = 0;
  const bool ok = absl::SimpleAtod(absl::string_view(text.data(), text.size()), &number);
  return ok && std::isfinite(number) ? std::optional(number) : std::nullopt;
}

class TextReader {
 public:
  explicit TextReader(Collector& out) : out_(out) {}

  bool read(std::string_view text) {
    while (!text.empty()) {
      const size_t comma = std::min(text.find(','), text.size());
      const std::string_view part = trimmed(text.substr(0, comma));
      text.remove_prefix(std::min(comma + 1, text.size()));
      if (!part.empty() && !read_metric(part)) return false;
    }
    return true;
  }

 private:
  bool read_metric(std::string_view part) {
    const size_t colon = part.find(':');
    if (colon == std::string_view::npos) return false;
    std::string_view name = part.substr(0, colon);
    const auto value = number_in(part.substr(colon + 1));
    if (!value) return false;
    if (name.starts_with(kNamedMetrics.prefix)) {
      name.remove_prefix(kNamedMetrics.prefix.size());
      if (name.empty() || !named_.insert(name).second) return false;
      out_.take(kNamedMetrics, name, *value);
      return true;
    }
    const auto* const scalar = std::ranges::find(kScalars, name, &Scalar::name);
    if (scalar == std::end(kScalars)) return false;
    const uint32_t bit = 1u << scalar->number;
    if ((seen_ & bit) != 0) return false;
    seen_ |= bit;
    out_.take(*scalar, *value);
    return true;
  }

  Collector& out_;
  uint32_t seen_ = 0;                            // scalars, by their numbers
  absl::flat_hash_set<std::string_view> named_;  // allocates only for named metrics
};

// ------------------------------------------------------------------------------------------------
// JSON, as protobuf writes messages in it

std::optional<double> number_of(const MetadataValue& value) {
  if (const double* number = value.number()) return *number;
  const std::string* text = value.text();
  return text == nullptr ? std::nullopt : number_in(*text);
}

bool read_json_family(const Family& family, const MetadataValue& value, Collector& out) {
  const MetadataStruct* fields = value.fields();
  if (fields == nullptr) return false;
  for (const auto& [key, one] : *fields) {
    const auto number = number_of(one);
    if (!number) return false;
    out.take(family, key, *number);
  }
  return true;
}

bool read_json_field(std::string_view name, const MetadataValue& value, Collector& out) {
  for (const Family& family : kFamilies) {
    if (name != family.name && name != family.json_name) continue;
    return value.is_null() || read_json_family(family, value, out);
  }
  const auto* const scalar = std::ranges::find_if(
      kScalars, [&](const Scalar& one) { return name == one.name || name == one.json_name; });
  const bool known = scalar != std::end(kScalars);
  if (!known && name != "rps") return false;
  if (value.is_null()) return true;
  const auto number = number_of(value);
  if (number && known) out.take(*scalar, *number);
  return number.has_value();
}

bool read_json(std::string_view text, Collector& out) {
  const auto parsed = parse_json(text);
  if (!parsed || parsed->fields() == nullptr) return false;
  return std::ranges::all_of(*parsed->fields(), [&](const auto& field) {
    return read_json_field(field.first, field.second, out);
  });
}

// ------------------------------------------------------------------------------------------------
// protobuf

// Fields of a message, one after the other.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  bool failed() const { return failed_; }
  uint32_t number() const { return number_; }
  std::string_view bytes() const { return bytes_; }  // of a string or message
  bool has_real() const { return has_real_; }
  double real() const { return real_; }
  bool has_bytes() const { return has_bytes_; }

  /// False: there is no further field, or failed().
  bool next() {
    has_real_ = false;
    has_bytes_ = false;
    if (rest_.empty()) return false;
    const uint64_t tag = varint();
    number_ = static_cast<uint32_t>(tag >> 3);
    if (number_ == 0 || tag > UINT32_MAX) failed_ = true;
    if (failed_) return false;
    switch (tag & 7) {
      case 0:
        varint();
        break;
      case 1:
        read_real();
        break;
      case 2:
        bytes_ = take(varint());
        has_bytes_ = true;
        break;
      case 5:
        take(4);
        break;
      default:  // groups, which no version of the message has
        failed_ = true;
    }
    return !failed_;
  }

 private:
  std::string_view take(uint64_t size) {
    if (failed_ || size > rest_.size()) {
      failed_ = true;
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::string_view one = take(1);
      if (failed_) return 0;
      const auto byte = static_cast<unsigned char>(one.front());
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    failed_ = true;
    return 0;
  }

  void read_real() {
    const std::string_view raw = take(8);
    if (failed_) return;
    uint64_t bits = 0;
    for (size_t i = 8; i > 0; --i) bits = bits << 8 | static_cast<unsigned char>(raw[i - 1]);
    real_ = std::bit_cast<double>(bits);
    has_real_ = true;
  }

  std::string_view rest_;
  std::string_view bytes_;
  double real_ = 0;
  uint32_t number_ = 0;
  bool has_bytes_ = false;
  bool has_real_ = false;
  bool failed_ = false;
};

bool read_entry(const Family& family, std::string_view bytes, Collector& out) {
  std::string_view key;
  double value = 0;
  WireReader entry(bytes);
  while (entry.next()) {
    if (entry.number() == 1 && entry.has_bytes()) key = entry.bytes();
    if (entry.number() == 2 && entry.has_real()) value = entry.real();
  }
  if (entry.failed()) return false;
  out.take(family, key, value);
  return true;
}

bool read_protobuf(std::string_view bytes, Collector& out) {
  WireReader report(bytes);
  while (report.next()) {
    if (report.has_real()) {
      const auto* const scalar = std::ranges::find(kScalars, report.number(), &Scalar::number);
      if (scalar != std::end(kScalars)) out.take(*scalar, report.real());
    } else if (report.has_bytes()) {
      const auto* const family = std::ranges::find(kFamilies, report.number(), &Family::number);
      const bool ok = family == std::end(kFamilies) || read_entry(*family, report.bytes(), out);
      if (!ok) return false;
    }
  }
  return !report.failed();
}

/// With padding or, as gRPC writes it, without.
bool read_base64(std::string_view text, Collector& out) {
  std::string bytes;
  if (text.empty() || !absl::Base64Unescape({text.data(), text.size()}, &bytes)) {
    return false;
  }
  return read_protobuf(bytes, out);
}

bool read_form(std::string_view text, Collector& out) {
  constexpr size_t kPrefix = 5;
  const std::string_view form = text.substr(0, kPrefix);
  if (form.starts_with("BIN ")) return read_base64(text.substr(4), out);
  if (form == "TEXT ") return TextReader(out).read(text.substr(kPrefix));
  return form == "JSON " && read_json(text.substr(kPrefix), out);
}

}  // namespace

std::optional<LoadReport> read_load_report(const http::HeaderMap& headers,
                                           const MetricNames& wanted) {
  Collector collector(wanted);
  bool ok = false;
  if (const http::HeaderEntry* binary = headers.find(kBinaryHeader)) {
    ok = read_base64(binary->value, collector);
  } else if (const http::HeaderEntry* header = headers.find(kHeader)) {
    ok = read_form(header->value, collector);
  }
  if (!ok) return std::nullopt;
  return collector.finish();
}

std::optional<uint32_t> weight_by_report(const LoadReport& report, double error_penalty) {
  const double rate = report.requests_per_second;
  if (!(rate > 0)) return std::nullopt;
  double utilization = report.highest_wanted;
  if (!(utilization > 0)) utilization = report.application_utilization;
  if (!(utilization > 0)) utilization = report.cpu_utilization;
  utilization += error_penalty * report.errors_per_second / rate;
  if (!(utilization > 0)) return std::nullopt;
  constexpr double kMost = std::numeric_limits<uint32_t>::max();
  const double weight = rate / utilization;
  if (std::isnan(weight)) return std::nullopt;
  return static_cast<uint32_t>(std::min(weight, kMost));
}

}  // namespace remora::upstream
