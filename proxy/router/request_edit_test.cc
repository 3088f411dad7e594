#include "proxy/router/request_edit.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include "proxy/telemetry/log_format.h"

namespace remora::router {
namespace {

class RequestEditTest : public testing::Test {
 protected:
  RequestEditTest() : request_(arena_) {
    info_.request_headers = &request_;
    request_.add(http::HeaderId::Method, "GET");
    request_.add(http::HeaderId::Scheme, "http");
    request_.add(http::HeaderId::Authority, "a.com:8080");
    request_.add(http::HeaderId::Path, "/old/x?q=1");
    request_.add(http::HeaderId::XForwardedProto, "http");
    route_.match.path = "/old";
    route_.action = ClusterAction();
  }
  static HeaderEdit edit(std::string name, std::string value,
                         HeaderEdit::Action action = HeaderEdit::Action::AppendOrAdd) {
    HeaderEdit out;
    out.id = http::header_id_of(name);
    out.name = std::move(name);
    out.value = std::move(value);
    out.action = action;
    return out;
  }
  ClusterAction& action() { return std::get<ClusterAction>(route_.action); }
  /// Edits the request as the only route of a table would.
  void edit_all() {
    RouteTable::Input input = std::move(input_);
    vhost_.domains = {"*"};
    vhost_.routes = {route_};
    input.hosts = {vhost_};
    tables_.push_back(*RouteTable::build(std::move(input)));
    edit_request(tables_.back()->decide(request_, 0), info_, request_, EnvoyHeaders::Insert);
  }
  std::string value(std::string_view name) {
    const http::HeaderEntry* entry = request_.find(name);
    return entry != nullptr ? std::string(entry->value) : "(none)";
  }

  BlockPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_;
  http::StreamInfo info_;
  Route route_;
  VirtualHost vhost_;
  RouteTable::Input input_;
  std::vector<std::shared_ptr<const RouteTable>> tables_;  // the request refers into them
};

TEST_F(RequestEditTest, RemovalsComeBeforeAdditions) {
  request_.add("x-a", "client");
  HeaderEdits edits;
  edits.add.push_back(edit("x-a", "proxy"));
  edits.remove.push_back("x-a");
  apply(edits, info_, request_);
  EXPECT_EQ(value("x-a"), "proxy");
}

TEST_F(RequestEditTest, EachActionDoesWhatItSays) {
  using Action = HeaderEdit::Action;
  request_.add("x-there", "old");
  const HeaderEdits careful = {
      {edit("x-there", "add", Action::AddIfAbsent), edit("x-new", "add", Action::AddIfAbsent),
       edit("x-not-there", "over", Action::OverwriteIfExists)},
      {}};
  apply(careful, info_, request_);
  EXPECT_EQ(value("x-there"), "old");
  EXPECT_EQ(value("x-new"), "add");
  EXPECT_EQ(value("x-not-there"), "(none)");
  const HeaderEdits over = {{edit("x-there", "new", Action::OverwriteOrAdd)}, {}};
  apply(over, info_, request_);
  EXPECT_EQ(*request_.joined("x-there"), "new");
  const HeaderEdits more = {{edit("x-there", "more")}, {}};
  apply(more, info_, request_);
  EXPECT_EQ(*request_.joined("x-there"), "new,more");
}

TEST_F(RequestEditTest, WhatIsThereIsAskedOnceAndWhatOverwritesComesFirst) {
  using Action = HeaderEdit::Action;
  request_.add("x-a", "old");
  request_.add("x-b", "b");
  const HeaderEdits edits = {
      {edit("x-a", "more"), edit("x-new", "1", Action::AddIfAbsent),
       edit("x-new", "2", Action::AddIfAbsent), edit("x-a", "new", Action::OverwriteOrAdd)},
      {}};
  apply(edits, info_, request_);
  EXPECT_EQ(*request_.joined("x-a"), "new,more");
  EXPECT_EQ(*request_.joined("x-new"), "1,2");
  EXPECT_EQ(request_.find("x-b")->value, "b");
  EXPECT_LT(request_.find("x-b"), request_.find("x-a")) << "it stands behind the others now";
}

TEST_F(RequestEditTest, AFieldThatIsKeptAsOneIsJoined) {
  request_.add(http::HeaderId::UserAgent, "old");
  HeaderEdits edits;
  edits.add = {edit("user-agent", "new"), edit("user-agent", "")};
  edits.add[0].joins = edits.add[1].joins = edits.add[1].keep_empty = true;
  apply(edits, info_, request_);
  EXPECT_EQ(value("user-agent"), "old,new");
}

TEST_F(RequestEditTest, CommandsSeeTheHeadersAsTheyWereBeforeAnyEditOfTheirLevel) {
  request_.add("x-a", "client");
  HeaderEdits edits;
  edits.add = {edit("x-a", "proxy", HeaderEdit::Action::OverwriteOrAdd), edit("x-copy", ""),
               edit("x-none", "")};
  const auto format = [](std::string_view text) {
    return std::make_shared<const telemetry::LogFormat>(
        *telemetry::LogFormat::text(text, telemetry::Missing::Empty));
  };
  edits.add[1].format = format("<%REQ(x-a)%%%>");
  edits.add[2].format = format("%REQ(x-absent)%");
  apply(edits, info_, request_);
  EXPECT_EQ(value("x-a"), "proxy");
  EXPECT_EQ(value("x-copy"), "<client%>");
  EXPECT_EQ(value("x-none"), "(none)") << "an empty value is not kept";
}

TEST_F(RequestEditTest, AValueThatWouldBreakTheHeaderBlockIsNotSet) {
  info_.dynamic_metadata.at("a")["b"] = MetadataValue("x\r\ninjected: 1");
  HeaderEdits edits;
  edits.add = {edit("x-a", "")};
  edits.add[0].keep_empty = true;
  edits.add[0].format = std::make_shared<const telemetry::LogFormat>(
      *telemetry::LogFormat::text("%DYNAMIC_METADATA(a:b)%", telemetry::Missing::Empty));
  apply(edits, info_, request_);
  EXPECT_EQ(value("x-a"), "(none)");
}

TEST_F(RequestEditTest, EmptyValuesAreSkippedUnlessKept) {
  HeaderEdits edits;
  edits.add = {edit("x-empty", ""), edit("x-kept", "")};
  edits.add[1].keep_empty = true;
  apply(edits, info_, request_);
  EXPECT_EQ(value("x-empty"), "(none)");
  EXPECT_EQ(value("x-kept"), "");
}

TEST_F(RequestEditTest, TheTableHasTheLastWordUnlessTheMostSpecificWins) {
  const auto over = HeaderEdit::Action::OverwriteOrAdd;
  route_.request_edits.add = {edit("x-level", "route", over)};
  vhost_.request_edits.add = {edit("x-level", "vhost", over)};
  input_.request_edits.add = {edit("x-level", "table", over)};
  RouteTable::Input again = input_;
  edit_all();
  EXPECT_EQ(value("x-level"), "table");
  input_ = again;
  input_.most_specific_header_mutations_wins = true;
  edit_all();
  EXPECT_EQ(value("x-level"), "route");
}

TEST_F(RequestEditTest, APrefixIsRewrittenAndTheOldPathKept) {
  action().rewrites.edit().prefix_rewrite = "/new";
  action().rewrites.edit().has_prefix_rewrite = true;
  edit_all();
  EXPECT_EQ(request_.path(), "/new/x?q=1");
  EXPECT_EQ(value("x-envoy-original-path"), "/old/x?q=1");
}

TEST_F(RequestEditTest, APrefixThatOnlyParametersHideIsNotRewritten) {
  request_.set(http::HeaderId::Path, "/old;v/x");
  route_.match.path = "/old/";
  route_.match.ignore_path_parameters = true;
  action().rewrites.edit().prefix_rewrite = "/new/";
  action().rewrites.edit().has_prefix_rewrite = true;
  edit_all();
  EXPECT_EQ(request_.path(), "/old;v/x");
  EXPECT_EQ(value("x-envoy-original-path"), "(none)");
}

TEST_F(RequestEditTest, ARegexRewriteLeavesTheQueryAlone) {
  action().rewrites.edit().regex_rewrite = std::make_shared<re2::RE2>("^/old/(.*)$");
  action().rewrites.edit().regex_substitution = "/v2/\\1/end";
  edit_all();
  EXPECT_EQ(request_.path(), "/v2/x/end?q=1");
}

TEST_F(RequestEditTest, AHostIsRewrittenAndForwarded) {
  action().rewrites.edit().host_rewrite_literal = "b.com";
  action().append_x_forwarded_host = true;
  edit_all();
  EXPECT_EQ(request_.authority(), "b.com");
  EXPECT_EQ(value("x-forwarded-host"), "a.com:8080");
  EXPECT_EQ(value("x-envoy-original-host"), "a.com:8080");
}

TEST_F(RequestEditTest, AHostMayComeFromAHeader) {
  action().rewrites.edit().host_rewrite_header = "x-host";
  request_.add("x-host", "c.com");
  edit_all();
  EXPECT_EQ(request_.authority(), "c.com");
}

TEST_F(RequestEditTest, AHostMayComeFromThePath) {
  action().rewrites.edit().host_rewrite_regex = std::make_shared<re2::RE2>("^/old/(.*)$");
  action().rewrites.edit().host_rewrite_substitution = "\\1.com";
  edit_all();
  EXPECT_EQ(request_.authority(), "x.com");
}

TEST_F(RequestEditTest, PathAndHostMayBeWrittenLikeALog) {
  const auto format = [](std::string_view text) {
    return std::make_shared<const telemetry::LogFormat>(
        *telemetry::LogFormat::text(text, telemetry::Missing::Empty));
  };
  action().rewrites.edit().path_rewrite = format("/to/%REQ(x-a)%");
  action().rewrites.edit().host_rewrite = format("%REQ(x-a)%.com");
  request_.add("x-a", "b");
  edit_all();
  EXPECT_EQ(request_.path(), "/to/b?q=1");
  EXPECT_EQ(request_.authority(), "b.com");
  route_.match.path = "/";
  action().rewrites.edit().path_rewrite = action().rewrites.edit().host_rewrite =
      format("%REQ(x-absent)%");
  edit_all();
  EXPECT_EQ(request_.path(), "/to/b?q=1") << "nothing: it stays";
  EXPECT_EQ(request_.authority(), "b.com");
}

TEST_F(RequestEditTest, AWeightedClusterMayBeAskedByAnotherHost) {
  action().weighted.resize(1);
  action().weighted[0].weight = action().total_weight = 1;
  action().weighted[0].host_rewrite_literal = "part.com";
  edit_all();
  EXPECT_EQ(request_.authority(), "part.com");
}

TEST_F(RequestEditTest, ARedirectsPathMayBeMadeOfTheRequests) {
  RedirectAction redirect;
  redirect.regex_rewrite = std::make_shared<re2::RE2>("^/old");
  redirect.regex_substitution = "/new";
  EXPECT_EQ(redirect_location(redirect, info_, request_), "http://a.com:8080/new/x?q=1");
  redirect.regex_rewrite = nullptr;
  redirect.path_rewrite = std::make_shared<const telemetry::LogFormat>(
      *telemetry::LogFormat::text("/%REQ(:method)%", telemetry::Missing::Empty));
  EXPECT_EQ(redirect_location(redirect, info_, request_), "http://a.com:8080/GET?q=1");
}

TEST_F(RequestEditTest, RedirectsKeepWhatTheyDoNotName) {
  RedirectAction redirect;
  redirect.https = true;
  EXPECT_EQ(redirect_location(redirect, info_, request_), "https://a.com:8080/old/x?q=1");
  redirect.port = 8443;
  EXPECT_EQ(redirect_location(redirect, info_, request_), "https://a.com:8443/old/x?q=1");
  redirect.host = "b.com";
  redirect.strip_query = true;
  EXPECT_EQ(redirect_location(redirect, info_, request_), "https://b.com:8443/old/x");
}

TEST_F(RequestEditTest, ADefaultPortGoesWhenTheSchemeChanges) {
  request_.set(http::HeaderId::Authority, "a.com:80");
  RedirectAction redirect;
  EXPECT_EQ(redirect_location(redirect, info_, request_), "http://a.com:80/old/x?q=1");
  redirect.https = true;
  EXPECT_EQ(redirect_location(redirect, info_, request_), "https://a.com/old/x?q=1");
}

TEST_F(RequestEditTest, ARedirectsPathTakesTheQueryAlongUnlessItHasItsOwn) {
  RedirectAction redirect;
  redirect.has_path = true;
  redirect.path = "/p";
  EXPECT_EQ(redirect_location(redirect, info_, request_), "http://a.com:8080/p?q=1");
  redirect.path = "/p?own";
  redirect.strip_query = true;
  EXPECT_EQ(redirect_location(redirect, info_, request_), "http://a.com:8080/p?own");
}

}  // namespace
}  // namespace remora::router
