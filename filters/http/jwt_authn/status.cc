#include "filters/http/jwt_authn/status.h"

namespace remora::jwt {

std::string_view text_of(Status status) {
  switch (status) {
    case Status::Ok:
      return "OK";
    case Status::Missing:
      return "Jwt is missing";
    case Status::NotYetValid:
      return "Jwt not yet valid";
    case Status::Expired:
      return "Jwt is expired";
    case Status::BadFormat:
      return "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
    case Status::HeaderBadBase64:
      return "Jwt header is an invalid Base64url encoded";
    case Status::HeaderBadJson:
      return "Jwt header is an invalid JSON";
    case Status::HeaderBadAlg:
      return "Jwt header [alg] field is required and must be a string";
    case Status::HeaderUnknownAlg:
      return "Jwt header [alg] is not supported";
    case Status::HeaderBadKid:
      return "Jwt header [kid] field is not a string";
    case Status::PayloadBadBase64:
      return "Jwt payload is an invalid Base64url encoded";
    case Status::Ed25519WrongLength:
      return "Jwt ED25519 signature is wrong length";
    case Status::PayloadBadJson:
      return "Jwt payload is an invalid JSON";
    case Status::IssNotString:
      return "Jwt payload [iss] field is not a string";
    case Status::SubNotString:
      return "Jwt payload [sub] field is not a string";
    case Status::IatNotInteger:
      return "Jwt payload [iat] field is not an integer";
    case Status::IatOutOfRange:
      return "Jwt payload [iat] field is not a positive 64 bit integer";
    case Status::NbfNotInteger:
      return "Jwt payload [nbf] field is not an integer";
    case Status::NbfOutOfRange:
      return "Jwt payload [nbf] field is not a positive 64 bit integer";
    case Status::ExpNotInteger:
      return "Jwt payload [exp] field is not an integer";
    case Status::ExpOutOfRange:
      return "Jwt payload [exp] field is not a positive 64 bit integer";
    case Status::JtiNotString:
      return "Jwt payload [jti] field is not a string";
    case Status::AudNotString:
      return "Jwt payload [aud] field is not a string or string list";
    case Status::SignatureBadBase64:
      return "Jwt signature is an invalid Base64url encoded";
    case Status::UnknownIssuer:
      return "Jwt issuer is not configured";
    case Status::AudienceNotAllowed:
      return "Audiences in Jwt are not allowed";
    case Status::VerificationFails:
      return "Jwt verification fails";
    case Status::NoMatchingKey:
      return "Jwks doesn't have key to match kid or alg from Jwt";
    case Status::FetchFailed:
      return "Jwks remote fetch is failed";
    case Status::Pending:
      break;
  }
  return "Jwt verification is pending";
}

}  // namespace remora::jwt
