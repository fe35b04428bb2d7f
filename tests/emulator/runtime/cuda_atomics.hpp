// CUDA's atomic functions. One thread runs at a time and is never interrupted between two statements,
// so a plain update is atomic; the checks are told that it was meant to be.
#pragma once

namespace emulator {
// Between the two, memory accesses are not reported to the checks.
void atomic_begin(void* address, unsigned size);
void atomic_end();

template <class T, class Update>
FASTIMG_EMULATOR_INLINE T atomic(T* address, Update update) {
    atomic_begin(address, sizeof(T));
    const T old = *address;
    *address = update(old);
    atomic_end();
    return old;
}
// Lets the second argument convert to the pointee's type, as CUDA's overloads do.
template <class T>
using Value = std::type_identity_t<T>;
}  // namespace emulator

template <class T>
FASTIMG_EMULATOR_INLINE T atomicAdd(T* address, emulator::Value<T> value) {
    return emulator::atomic(address, [=](T old) { return T(old + value); });
}
template <class T>
FASTIMG_EMULATOR_INLINE T atomicSub(T* address, emulator::Value<T> value) {
    return emulator::atomic(address, [=](T old) { return T(old - value); });
}
template <class T>
FASTIMG_EMULATOR_INLINE T atomicMax(T* address, emulator::Value<T> value) {
    return emulator::atomic(address, [=](T old) { return old > value ? old : value; });
}
template <class T>
FASTIMG_EMULATOR_INLINE T atomicMin(T* address, emulator::Value<T> value) {
    return emulator::atomic(address, [=](T old) { return old < value ? old : value; });
}
template <class T>
FASTIMG_EMULATOR_INLINE T atomicExch(T* address, emulator::Value<T> value) {
    return emulator::atomic(address, [=](T) { return value; });
}
template <class T>
FASTIMG_EMULATOR_INLINE T atomicCAS(T* address, emulator::Value<T> expected, emulator::Value<T> value) {
    return emulator::atomic(address, [=](T old) { return old == expected ? value : old; });
}
template <class T>
FASTIMG_EMULATOR_INLINE T atomicAnd(T* address, emulator::Value<T> value) {
    return emulator::atomic(address, [=](T old) { return T(old & value); });
}
template <class T>
FASTIMG_EMULATOR_INLINE T atomicOr(T* address, emulator::Value<T> value) {
    return emulator::atomic(address, [=](T old) { return T(old | value); });
}
template <class T>
FASTIMG_EMULATOR_INLINE T atomicXor(T* address, emulator::Value<T> value) {
    return emulator::atomic(address, [=](T old) { return T(old ^ value); });
}
FASTIMG_EMULATOR_INLINE unsigned atomicInc(unsigned* address, unsigned limit) {
    return emulator::atomic(address, [=](unsigned old) { return old >= limit ? 0u : old + 1; });
}
FASTIMG_EMULATOR_INLINE unsigned atomicDec(unsigned* address, unsigned limit) {
    return emulator::atomic(address, [=](unsigned old) { return old == 0 || old > limit ? limit : old - 1; });
}
