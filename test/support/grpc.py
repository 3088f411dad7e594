"""gRPC as bytes over HTTP/1.1: messages, requests and answers for raw clients and upstreams."""

GRPC = b"application/grpc"


def message(data, flag=0):
    return bytes([flag]) + len(data).to_bytes(4, "big") + data


def request(*lines, content_type=GRPC, path=b"/a.B/C", method=b"POST", body=b""):
    head = [method + b" " + path + b" HTTP/1.1", b"host: t", b"content-type: " + content_type,
            b"content-length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def chunks(pieces, trailers=b""):
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailers + b"\r\n"


def answer(pieces, trailers=b"grpc-status: 0\r\n", content_type=GRPC):
    return (b"HTTP/1.1 200 OK\r\ncontent-type: " + content_type + b"\r\ntransfer-encoding: chunked\r\n\r\n"
            + chunks(pieces, trailers))


def trailers_only(status, *lines):
    head = [b"HTTP/1.1 200 OK", b"content-type: application/grpc", b"grpc-status: " + status, *lines]
    return b"\r\n".join(head) + b"\r\ncontent-length: 0\r\n\r\n"


def by_name(answers):
    """An upstream's script: gives the answer that the request's x-answer names."""

    def script(peer):
        while True:
            head, _ = peer.read_request()
            peer.send(answers[head.split(b"x-answer: ")[1].split(b"\r\n")[0].decode()])

    return script
