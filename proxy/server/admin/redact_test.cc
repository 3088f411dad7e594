#include "proxy/server/admin/redact.h"

#include <gtest/gtest.h>

#include "api/admin.pb.h"
#include "api/listener.pb.h"
#include "api/tls.pb.h"

namespace remora::server {
namespace {

namespace tlsv3 = envoy::extensions::transport_sockets::tls::v3;

tlsv3::TlsCertificate certificate() {
  tlsv3::TlsCertificate out;
  out.mutable_certificate_chain()->set_inline_string("chain");
  out.mutable_private_key()->set_inline_string("hidden");
  out.mutable_password()->set_inline_bytes("hidden");
  out.mutable_pkcs12()->set_filename("/hidden");
  return out;
}

TEST(Redact, TakesKeysAndPasswordsOutAndLeavesCertificates) {
  tlsv3::TlsCertificate message = certificate();
  redact(&message);
  EXPECT_EQ(message.certificate_chain().inline_string(), "chain");
  EXPECT_EQ(message.private_key().inline_string(), "[redacted]");
  EXPECT_EQ(message.password().inline_bytes(), "[redacted]");
  EXPECT_EQ(message.pkcs12().filename(), "[redacted]");
}

TEST(Redact, LooksIntoEveryAny) {
  tlsv3::DownstreamTlsContext context;
  *context.mutable_common_tls_context()->add_tls_certificates() = certificate();
  context.mutable_session_ticket_keys()->add_keys()->set_inline_string("hidden");
  envoy::config::listener::v3::Listener listener;
  listener.add_filter_chains()->mutable_transport_socket()->mutable_typed_config()->PackFrom(
      context);
  envoy::admin::v3::ListenersConfigDump dump;
  dump.add_static_listeners()->mutable_listener()->PackFrom(listener);
  redact(&dump);
  EXPECT_EQ(dump.SerializeAsString().find("hidden"), std::string::npos);
  ASSERT_TRUE(dump.static_listeners(0).listener().UnpackTo(&listener));
  ASSERT_TRUE(listener.filter_chains(0).transport_socket().typed_config().UnpackTo(&context));
  EXPECT_EQ(context.common_tls_context().tls_certificates(0).certificate_chain().inline_string(),
            "chain");
}

TEST(Redact, TakesGenericSecretsOut) {
  tlsv3::Secret secret;
  secret.mutable_generic_secret()->mutable_secret()->set_environment_variable("HIDDEN");
  redact(&secret);
  EXPECT_EQ(secret.generic_secret().secret().environment_variable(), "[redacted]");
}

}  // namespace
}  // namespace remora::server
