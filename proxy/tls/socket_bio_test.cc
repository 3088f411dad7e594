// The socket under OpenSSL: what it does at the edges.
#include "proxy/tls/socket_bio.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "proxy/net/socket.h"

namespace remora::tls {
namespace {

class SocketBioTest : public testing::Test {
 protected:
  SocketBioTest() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    near = Socket(fds[0]);
    far = Socket(fds[1]);
    io.fd = near.fd();
    bio.reset(new_socket_bio(*method, io));
  }
  int write(const std::string& text) {
    return BIO_write(bio.get(), text.data(), static_cast<int>(text.size()));
  }
  int read(int room) {
    char bytes[64];
    return BIO_read(bio.get(), bytes, room);
  }
  size_t fill() {
    const std::string block(4096, 'f');
    size_t sent = 0;
    for (;;) {
      const ssize_t got = ::send(near.fd(), block.data(), block.size(), MSG_NOSIGNAL);
      if (got < 0) return sent;
      sent += static_cast<size_t>(got);
    }
  }
  std::string drain() {
    std::string all;
    char bytes[65536];
    for (ssize_t got = 0; (got = ::recv(far.fd(), bytes, sizeof(bytes), 0)) > 0;) {
      all.append(bytes, static_cast<size_t>(got));
    }
    return all;
  }

  const BioMethodHandle method = make_socket_method();
  Socket near, far;
  SocketIo io;
  BioHandle bio;
};

TEST_F(SocketBioTest, AShortReadSparesTheNextCallUntilTheNextEdge) {
  ASSERT_EQ(::send(far.fd(), "abc", 3, 0), 3);
  io.begin(false, true);
  EXPECT_EQ(read(10), 3);
  ASSERT_EQ(::send(far.fd(), "d", 1, 0), 1);
  EXPECT_EQ(read(10), -1) << "a new edge will tell";
  EXPECT_TRUE(BIO_should_retry(bio.get()));
  io.begin(false, true);
  EXPECT_EQ(read(10), 1);
}

TEST_F(SocketBioTest, WithAHangupKnownTheEndIsReadAtOnce) {
  ASSERT_EQ(::send(far.fd(), "abc", 3, 0), 3);
  far.close();
  io.begin(true, true);
  EXPECT_EQ(read(10), 3);
  EXPECT_EQ(read(10), 0);
  EXPECT_TRUE(io.ended);
  EXPECT_FALSE(BIO_should_retry(bio.get()));
}

TEST_F(SocketBioTest, AFullSocketRefusesAWriter) {
  fill();
  io.begin(false, false);
  EXPECT_EQ(write("text"), -1);
  EXPECT_TRUE(BIO_should_retry(bio.get()));
  EXPECT_TRUE(io.full);
}

TEST_F(SocketBioTest, WhatAReaderMustSayIsHeldAndSentFirst) {
  fill();
  io.begin(false, true);
  EXPECT_EQ(write("first"), 5);
  EXPECT_EQ(io.held, "first");
  drain();
  io.begin(false, false);
  EXPECT_EQ(write("second"), 6);
  EXPECT_EQ(drain(), "firstsecond");
  EXPECT_TRUE(io.held.empty());
}

TEST_F(SocketBioTest, APeerThatMakesUsSayTooMuchIsCutOff) {
  fill();
  io.begin(false, true);
  const std::string piece(1024, 'p');
  int written = 0;
  while (write(piece) > 0) written += 1024;
  EXPECT_EQ(written, 64 * 1024);
  EXPECT_EQ(io.error, ENOBUFS);
  EXPECT_FALSE(BIO_should_retry(bio.get()));
}

TEST_F(SocketBioTest, APeerThatIsGoneIsAnErrorAndNoSignal) {
  far.close();
  io.begin(false, false);
  EXPECT_EQ(write("text"), -1);
  EXPECT_EQ(io.error, EPIPE);
}

}  // namespace
}  // namespace remora::tls
