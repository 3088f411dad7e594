// Holds every message, field, enum value and method of api/ against the official xDS descriptors:
// same names, numbers, types, labels, oneofs and JSON names, so that bytes and type URLs mean the
// same to both. The official files are found through REMORA_OFFICIAL_PROTOS; without it the
// comparison is skipped.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/descriptor_database.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace remora {
namespace {

namespace fs = std::filesystem;
namespace pb = google::protobuf;

// Fields, messages and enums of the current API that the reference package is too old to have;
// their numbers were read from the descriptors inside Envoy 1.40.
const std::set<std::string> kNewerThanReference = {
    "envoy.config.cluster.v3.Cluster.dns_jitter",
    "envoy.config.cluster.v3.UpstreamConnectionOptions.FirstAddressFamilyVersion",
    "envoy.config.core.v3.ProxyProtocolConfig.added_tlvs",
    "envoy.config.core.v3.TlvEntry",
    "envoy.config.rbac.v3.MetadataSource",
    "envoy.config.rbac.v3.Permission.sourced_metadata",
    "envoy.config.rbac.v3.Principal.sourced_metadata",
    "envoy.config.rbac.v3.SourcedMetadata",
    "envoy.config.route.v3.CookieMatcher",
    "envoy.config.route.v3.RedirectAction.path_rewrite",
    "envoy.config.route.v3.RouteAction.host_rewrite",
    "envoy.config.route.v3.RouteAction.path_rewrite",
    "envoy.config.route.v3.RouteConfiguration.vhost_header",
    "envoy.config.route.v3.RouteMatch.cookies",
    "envoy.config.route.v3.RouteMatch.filter_state",
    "envoy.config.route.v3.WeightedCluster.use_hash_policy",
    "envoy.config.route.v3.DirectResponseAction.body_format",
    "envoy.config.route.v3.Route.request_body_buffer_limit",
    "envoy.config.route.v3.RouteAction.RequestMirrorPolicy.host_rewrite_literal",
    "envoy.config.route.v3.RouteAction.RequestMirrorPolicy.request_headers_mutations",
    "envoy.config.route.v3.VirtualHost.request_body_buffer_limit",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.KeyValuePair."
    "ValueStringEncoding",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.KeyValuePair."
    "value_string_encoding",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.TlvLocation",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.tlv_location",
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector."
    "close_connection_on_client_hello_parsing_errors",
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector.enable_ja4_fingerprinting",
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector.max_client_hello_size",
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport."
    "allow_unspecified_address",
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport."
    "tlv_as_pool_key",
    "envoy.extensions.filters.network.rbac.v3.RBAC.delay_deny",
    "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext.prefer_client_ciphers",
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext.auto_host_sni",
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext.auto_sni_san_validation",
    "envoy.type.matcher.v3.AddressMatcher",
    "envoy.type.matcher.v3.FilterStateMatcher.address_match",
    "xds.core.v3.CidrRange",
    "xds.type.matcher.v3.Matcher.OnMatch.keep_matching",
    "envoy.config.common.mutation_rules.v3.HeaderMutation.RemoveOnMatch",
    "envoy.config.common.mutation_rules.v3.HeaderMutation.remove_on_match",
    "envoy.config.core.v3.Http1ProtocolOptions.ignore_http_11_upgrade",
    "envoy.config.core.v3.HttpProtocolOptions.max_connection_duration_jitter",
    "envoy.config.core.v3.HttpProtocolOptions.max_response_headers_kb",
    "envoy.extensions.filters.network.http_connection_manager.v3.ForwardProtoConfig",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
    "drain_timeout_jitter",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
    "forward_proto_config",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
    "http1_safe_max_connection_duration",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
    "stream_flush_timeout",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
    "ForwardClientCertFormat",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
    "SetCurrentClientCertDetails.format",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
    "SetCurrentClientCertDetails.issuer",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
    "forward_client_cert_matcher",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
    "record_route_resolution_stats",
    "envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3."
    "ClientSideWeightedRoundRobin.metric_names_for_computing_utilization",
    "envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3."
    "ClientSideWeightedRoundRobin.slow_start_config",
    "envoy.extensions.load_balancing_policies.peak_ewma.v3alpha.PeakEwma",
    "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig.skip_xff_append",
    "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig.xff_trusted_cidrs",
    "envoy.extensions.http.original_ip_detection.xff.v3.XffTrustedCidrs",
};

class Errors : public pb::DescriptorPool::ErrorCollector {
 public:
  void AddError(const std::string& file, const std::string& element, const pb::Message*,
                ErrorLocation, const std::string& message) override {
    text += file + " " + element + ": " + message + "\n";
  }
  std::string text;
};

/// What protoc makes of some .proto files and all that they import.
class Universe {
 public:
  Universe() : pool_(&files_, &errors_) {}

  /// `arguments` are protoc's: include paths and file names. `set` is the file to write in between.
  void compile(const std::string& arguments, const std::string& set) {
    const std::string command =
        "protoc --include_imports --descriptor_set_out=" + set + " " + arguments;
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
    std::ifstream in(set, std::ios::binary);
    pb::FileDescriptorSet descriptors;
    ASSERT_TRUE(descriptors.ParseFromIstream(&in));
    for (const auto& file : descriptors.file()) {
      files_.Add(file);
      names_.push_back(file.name());
    }
  }

  const pb::DescriptorPool& pool() const { return pool_; }
  const std::vector<std::string>& names() const { return names_; }
  const std::string& errors() const { return errors_.text; }

 private:
  Errors errors_;
  pb::SimpleDescriptorDatabase files_;
  pb::DescriptorPool pool_;
  std::vector<std::string> names_;
};

std::string read_file(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string type_of(const pb::FieldDescriptor& f) {
  std::string type = std::string(f.is_repeated() ? "repeated " : "") + f.type_name();
  if (f.message_type() != nullptr) type += " " + f.message_type()->full_name();
  if (f.enum_type() != nullptr) type += " " + f.enum_type()->full_name();
  if (f.containing_oneof() != nullptr) type += " in oneof " + f.containing_oneof()->name();
  return type + " = " + std::to_string(f.number()) + " json " + f.json_name();
}

class DescriptorsTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* deps = std::getenv("REMORA_OFFICIAL_PROTOS");
    if (deps == nullptr || *deps == '\0') GTEST_SKIP() << "REMORA_OFFICIAL_PROTOS is not set";
    const fs::path scratch = testing::TempDir();

    std::string mine = "-I. -I/usr/include";
    for (const auto& entry : fs::directory_iterator("api")) {
      if (entry.path().extension() == ".proto") mine += " " + entry.path().string();
    }
    ours.compile(mine, scratch / "ours.bin");

    // The package's own copy of validate.proto is older than what its other files use.
    std::string validate =
        read_file(fs::path(deps) / "protoc-gen-validate/validate/validate.proto");
    const std::string rules = "message StringRules {";
    ASSERT_NE(validate.find(rules), std::string::npos) << "no validate.proto below " << deps;
    if (validate.find("ignore_empty") == std::string::npos) {
      validate.insert(validate.find(rules) + rules.size(), " optional bool ignore_empty = 26;");
    }
    fs::create_directories(scratch / "shim/validate");
    std::ofstream(scratch / "shim/validate/validate.proto") << validate;

    std::string official = "-I" + (scratch / "shim").string() + " -I/usr/include";
    for (const char* root : {"envoy-api", "xds", "googleapis", "protoc-gen-validate"}) {
      official += " -I" + (fs::path(deps) / root).string();
    }
    theirs.compile(official + official_files(deps), scratch / "theirs.bin");
  }

  /// The files of every package that api/ has a part of: a package's folder is its name.
  std::string official_files(const fs::path& deps) {
    std::set<std::string> folders;
    for (const std::string& name : ours.names()) {
      if (!name.starts_with("api/")) continue;
      std::string folder = ours.pool().FindFileByName(name)->package();
      for (char& c : folder) c = c == '.' ? '/' : c;
      folders.insert(folder);
    }
    std::string files;
    for (const std::string& folder : folders) {
      for (const char* root : {"envoy-api", "xds", "googleapis"}) {
        const fs::path path = deps / root / folder;
        if (!fs::is_directory(path)) continue;
        for (const auto& entry : fs::directory_iterator(path)) {
          if (entry.path().extension() == ".proto") files += " " + entry.path().string();
        }
      }
    }
    return files;
  }

  void compare(const pb::EnumDescriptor& e) {
    if (kNewerThanReference.contains(e.full_name())) return;
    const pb::EnumDescriptor* official = theirs.pool().FindEnumTypeByName(e.full_name());
    ASSERT_NE(official, nullptr) << e.full_name() << " is not an official enum";
    for (int i = 0; i < e.value_count(); ++i) {
      const pb::EnumValueDescriptor* value = official->FindValueByName(e.value(i)->name());
      ASSERT_NE(value, nullptr) << e.value(i)->full_name() << " is not an official value";
      EXPECT_EQ(e.value(i)->number(), value->number()) << e.value(i)->full_name();
    }
  }

  void compare(const pb::Descriptor& m) {
    if (m.options().map_entry() || kNewerThanReference.contains(m.full_name())) return;
    const pb::Descriptor* official = theirs.pool().FindMessageTypeByName(m.full_name());
    ASSERT_NE(official, nullptr) << m.full_name() << " is not an official message";
    for (int i = 0; i < m.field_count(); ++i) {
      const pb::FieldDescriptor& field = *m.field(i);
      if (kNewerThanReference.contains(field.full_name())) continue;
      const pb::FieldDescriptor* theirs_field = official->FindFieldByName(field.name());
      ASSERT_NE(theirs_field, nullptr) << field.full_name() << " is not an official field";
      EXPECT_EQ(type_of(field), type_of(*theirs_field)) << field.full_name();
      EXPECT_EQ(field.is_map(), theirs_field->is_map()) << field.full_name();
      if (field.is_map()) {
        for (int part : {0, 1}) {
          EXPECT_EQ(type_of(*field.message_type()->field(part)),
                    type_of(*theirs_field->message_type()->field(part)))
              << field.full_name();
        }
      }
      ++fields;
    }
    for (int i = 0; i < m.nested_type_count(); ++i) compare(*m.nested_type(i));
    for (int i = 0; i < m.enum_type_count(); ++i) compare(*m.enum_type(i));
  }

  void compare(const pb::ServiceDescriptor& s) {
    const pb::ServiceDescriptor* official = theirs.pool().FindServiceByName(s.full_name());
    ASSERT_NE(official, nullptr) << s.full_name() << " is not an official service";
    for (int i = 0; i < s.method_count(); ++i) {
      const pb::MethodDescriptor* method = official->FindMethodByName(s.method(i)->name());
      ASSERT_NE(method, nullptr) << s.method(i)->full_name() << " is not an official method";
      EXPECT_EQ(s.method(i)->input_type()->full_name(), method->input_type()->full_name());
      EXPECT_EQ(s.method(i)->output_type()->full_name(), method->output_type()->full_name());
      EXPECT_EQ(s.method(i)->client_streaming(), method->client_streaming());
      EXPECT_EQ(s.method(i)->server_streaming(), method->server_streaming());
    }
  }

  Universe ours, theirs;
  size_t fields = 0;
};

TEST_F(DescriptorsTest, EverythingInApiIsOfficial) {
  for (const std::string& name : ours.names()) {
    if (!name.starts_with("api/")) continue;
    SCOPED_TRACE(name);
    const pb::FileDescriptor* file = ours.pool().FindFileByName(name);
    ASSERT_NE(file, nullptr) << ours.errors();
    for (int i = 0; i < file->message_type_count(); ++i) compare(*file->message_type(i));
    for (int i = 0; i < file->enum_type_count(); ++i) compare(*file->enum_type(i));
    for (int i = 0; i < file->service_count(); ++i) compare(*file->service(i));
  }
  EXPECT_GT(fields, 400u) << "too little was compared";
}

}  // namespace
}  // namespace remora
