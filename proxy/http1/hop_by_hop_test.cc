// What is removed between connections, and what a peer cannot have removed.
#include "proxy/http1/hop_by_hop.h"

#include <gtest/gtest.h>

#include "proxy/http1/codec_test_support.h"

namespace remora::http1 {
namespace {

TEST(HopByHop, FieldsAndWhatConnectionNamesAreRemoved) {
  BlockPool pool;
  test::Message message(pool, {{":path", "/"},
                               {"connection", "keep-alive, X-Hop ,,upgrade"},
                               {"x-hop", "1"},
                               {"x-hop", "2"},
                               {"keep-alive", "timeout=5"},
                               {"proxy-connection", "close"},
                               {"transfer-encoding", "chunked"},
                               {"upgrade", "h2c"},
                               {"http2-settings", "x"},
                               {"x-kept", "1"}});
  remove_hop_by_hop(message.map());
  EXPECT_EQ(test::describe(message.map()), ":path=/\nx-kept=1\n");
}

TEST(HopByHop, AnUpgradeStaysAndNothingElse) {
  BlockPool pool;
  test::Message message(pool, {{"connection", "keep-alive, X-Hop, Upgrade"},
                               {"x-hop", "1"},
                               {"keep-alive", "timeout=5"},
                               {"upgrade", "websocket"},
                               {"http2-settings", "x"},
                               {"x-kept", "1"}});
  keep_only_upgrade(message.map());
  EXPECT_EQ(test::describe(message.map()), "connection=Upgrade\nupgrade=websocket\nx-kept=1\n");
  test::Message plain(pool, {{"upgrade", "websocket"}, {"connection", "upgrade"}});
  keep_only_upgrade(plain.map());
  EXPECT_EQ(test::describe(plain.map()), "upgrade=websocket\nconnection=upgrade\n");
}

TEST(HopByHop, WhatOthersRestOnCannotBeNamed) {
  BlockPool pool;
  test::Message message(
      pool,
      {{":authority", "h"},
       {"connection", "Host, :authority, Authorization, X-Forwarded-For, Content-Length, close"},
       {"connection", "x-envoy-peer, X-Forwarded-Tls, cookie, te"},
       {"authorization", "a"},
       {"x-forwarded-for", "b"},
       {"content-length", "0"},
       {"x-envoy-peer", "c"},
       {"x-forwarded-tls", "d"},
       {"cookie", "e"},
       {"te", "trailers"}});
  remove_hop_by_hop(message.map());
  EXPECT_EQ(test::describe(message.map()),
            ":authority=h\nauthorization=a\nx-forwarded-for=b\ncontent-length=0\nx-envoy-peer=c\n"
            "x-forwarded-tls=d\ncookie=e\nte=trailers\n");
}

}  // namespace
}  // namespace remora::http1
