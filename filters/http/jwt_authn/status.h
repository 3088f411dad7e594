// How the verification of a token can end. The numbers are Envoy's: failed_status_in_metadata shows
// them.
#pragma once

#include <cstdint>
#include <string_view>

namespace remora::jwt {

enum class Status : uint8_t {
  Ok = 0,
  Missing = 1,
  NotYetValid = 2,
  Expired = 3,
  BadFormat = 4,
  HeaderBadBase64 = 5,
  HeaderBadJson = 6,
  HeaderBadAlg = 7,
  HeaderUnknownAlg = 8,
  HeaderBadKid = 9,
  PayloadBadBase64 = 10,
  Ed25519WrongLength = 11,
  PayloadBadJson = 12,
  IssNotString = 13,
  SubNotString = 14,
  IatNotInteger = 15,
  IatOutOfRange = 16,
  NbfNotInteger = 17,
  NbfOutOfRange = 18,
  ExpNotInteger = 19,
  ExpOutOfRange = 20,
  JtiNotString = 21,
  AudNotString = 22,
  SignatureBadBase64 = 23,
  UnknownIssuer = 24,
  AudienceNotAllowed = 25,
  VerificationFails = 26,
  NoMatchingKey = 32,
  FetchFailed = 40,
  Pending = 255,  // not an end: keys have to be fetched first
};

/// As the client reads it.
std::string_view text_of(Status status);

}  // namespace remora::jwt
