/* CRC-32C (Castagnoli), the checksum of Kafka's record batches and of our own files. */
#ifndef COLOBUS_BASE_CRC32C_H
#define COLOBUS_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC-32C of `len` bytes. crc32c_more() continues one: crc32c_more(crc32c(a), b) == crc32c(ab). */
uint32_t crc32c(const void *ptr, size_t len);
uint32_t crc32c_more(uint32_t crc, const void *ptr, size_t len);

#endif
