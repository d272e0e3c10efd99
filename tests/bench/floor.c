/* The least that reading a stream of dnstap messages costs: a Unix socket, Frame Streams, every field of every message
 * stepped over, the DNS header read and the first name walked, in C and with nothing counted. scripts/bench shows it beside
 * dnstapd and fstrm_capture: what a program takes beyond this is the price of what it does with a message.
 *
 *   cc -O2 -o floor tests/bench/floor.c; ./floor SOCKET
 *
 * Listens, serves one sender that begins with READY or START, and ends with it.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, START = 2, STOP = 3, READY = 4 };

static const uint8_t accept_frame[] = "\0\0\0\0\0\0\0\x22\0\0\0\x01\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap";
static const uint8_t finish_frame[] = "\0\0\0\0\0\0\0\x04\0\0\0\x05";

static uint8_t buffer[BUFFER];
static uint64_t frames, sum;

static uint32_t be32(const uint8_t *at) {
    uint32_t word;
    memcpy(&word, at, 4);
    return ntohl(word);
}

/* A varint; moves `*at`, NULL when it runs off the end. */
static uint64_t varint(const uint8_t **at, const uint8_t *end) {
    uint64_t value = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    *at = NULL;
    return 0;
}

/* The header and the first name of a DNS message. */
static void dns(const uint8_t *at, const uint8_t *end) {
    if (end - at < 12)
        return;
    sum += at[2] ^ at[3];
    for (at += 12; at < end && *at != 0 && *at < 64; at += 1 + *at)
        sum += *at;
}

/* All fields of a message: those of the dnstap message within it, too. */
static void walk(const uint8_t *at, const uint8_t *end, int depth) {
    while (at && at < end) {
        uint64_t tag = varint(&at, end), length;
        if (!at)
            return;
        switch (tag & 7) {
        case 0: sum += varint(&at, end); break;
        case 1: at += 8; break;
        case 5: at += 4; break;
        case 2:
            length = varint(&at, end);
            if (!at || length > (uint64_t)(end - at))
                return;
            if (depth == 0 && tag >> 3 == 14)
                walk(at, at + length, 1);
            else if (depth == 1 && (tag >> 3 == 10 || tag >> 3 == 14))
                dns(at, at + length);
            at += length;
            break;
        default: return;
        }
    }
}

int main(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path)
        return 2;
    strcpy(address.sun_path, argv[1]);
    unlink(argv[1]);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1))
        return perror("socket"), 1;
    int peer = accept(listener, NULL, NULL);
    size_t filled = 0;
    for (ssize_t got; (got = read(peer, buffer + filled, BUFFER - filled)) > 0;) {
        const uint8_t *at = buffer, *end = buffer + filled + got;
        while (end - at >= 4) {
            uint32_t length = be32(at);
            if (length == 0) {
                if (end - at < 12 || (uint32_t)(end - at - 8) < be32(at + 4))
                    break;
                uint32_t kind = be32(at + 8);
                at += 8 + be32(at + 4);
                if (kind == READY && write(peer, accept_frame, sizeof accept_frame - 1) < 0)
                    return 1;
                if (kind == STOP) {
                    if (write(peer, finish_frame, sizeof finish_frame - 1) < 0)
                        return 1;
                    shutdown(peer, SHUT_WR);
                }
                continue;
            }
            if ((uint32_t)(end - at - 4) < length)
                break;
            walk(at + 4, at + 4 + length, 0);
            frames++;
            at += 4 + length;
        }
        filled = end - at;
        if (filled == BUFFER)
            return fprintf(stderr, "a frame is longer than %d bytes\n", BUFFER), 1;
        memmove(buffer, at, filled);
    }
    printf("%llu frames, %llx\n", (unsigned long long)frames, (unsigned long long)sum);
    return 0;
}
