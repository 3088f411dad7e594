// Certificates and keys for tests of translation; they are valid for a hundred years and of no use.
#pragma once

namespace remora::xds::translate {

inline constexpr char kRootPem[] =
    R"(-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUGktcGbVoqnk35YIK9mbmUfBDUP0wCgYIKoZIzj0EAwIw
DzENMAsGA1UECgwEcm9vdDAgFw0yNjExMjQwNDEyMjFaGA8yMTI2MTAzMTA0MTIy
MVowDzENMAsGA1UECgwEcm9vdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABFYM
faqrgiSxGZoJsLFlvemvtN24uV3Ya9H5oTOLGcpq1bws0aOKKOmi0SKeakP/ptdt
7wGzaohfnsp1+KfsOM6jUzBRMB0GA1UdDgQWBBSh3wC/4FWXnbF6g9E3YimXksCQ
NDAfBgNVHSMEGDAWgBSh3wC/4FWXnbF6g9E3YimXksCQNDAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIDg+tkJp8BBio6LxTSxoIApmTV2zi7ytPon+
HbesTIsUAiEAjedO00bDEpv8NZgse/Kv4LTg4JPb6GkR30amES4CfsE=
-----END CERTIFICATE-----
)";

/// Of spiffe://td/a, under the root.
inline constexpr char kLeafPem[] =
    R"(-----BEGIN CERTIFICATE-----
MIIBfDCCASGgAwIBAgIUCJNh6SwXixM77UYU5+aDo9LPvcYwCgYIKoZIzj0EAwIw
DzENMAsGA1UECgwEcm9vdDAgFw0yNjExMjQwNDEyMjFaGA8yMTI2MTAzMTA0MTIy
MVowDDEKMAgGA1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMda5e8J
eKAdLyCiZDLKVXCSeKInxsomgSE3yUkRVQgRGPpgrfUU/H9QEVBlBCcWLuAYBQhl
dPHuvNgrJMK/5bWjXDBaMBgGA1UdEQQRMA+GDXNwaWZmZTovL3RkL2EwHQYDVR0O
BBYEFDbchn59W+TWQ7aQiydhrz63T2qGMB8GA1UdIwQYMBaAFKHfAL/gVZedsXqD
0TdiKZeSwJA0MAoGCCqGSM49BAMCA0kAMEYCIQCsb3mi1aUo71c2UNAnSeQomJBR
1gE5TWn00UHGYaj59gIhANKRQyIP4CSGDvkAcGLS0h8OasX30/a65XMuKYXqSxGy
-----END CERTIFICATE-----
)";

inline constexpr char kLeafKey[] =
    R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEINSn/iPEDB0/nqidYknyGAQt9B868hUEaiunlj3EZTn7oAoGCCqGSM49
AwEHoUQDQgAEx1rl7wl4oB0vIKJkMspVcJJ4oifGyiaBITfJSRFVCBEY+mCt9RT8
f1ARUGUEJxYu4BgFCGV08e682Cskwr/ltQ==
-----END EC PRIVATE KEY-----
)";

/// Of nobody.
inline constexpr char kOtherKey[] =
    R"(-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIDYTIQ7kT1zi+p9CmkyLJI0iUigEtkyJgTtOyswKcjzEoAoGCCqGSM49
AwEHoUQDQgAECZ4AMMig8xXaKWLkNjYMD/qHh6TLM3+y1o2VS8zU0Qtct4MyKxUQ
feEisjdVbiOgimjl3s3DLWqTNTAuqLq8Lw==
-----END EC PRIVATE KEY-----
)";

}  // namespace remora::xds::translate
