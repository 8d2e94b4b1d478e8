// Division by a number that many divide by.
#pragma once

struct Divider {
    unsigned by, reciprocal;

    __device__ __forceinline__ explicit Divider(int by) : by(by), reciprocal(0xffffffffu / unsigned(by)) {}

    // n / by. The product is the quotient or one less.
    __device__ __forceinline__ int divide(int n) const {
        const unsigned quotient = __umulhi(unsigned(n), reciprocal);
        return int(unsigned(n) - quotient * by >= by ? quotient + 1 : quotient);
    }
};
