// The table through which Python finds the kernels of a module, and what each of their parameters is.
#pragma once
#include <utility>

#include "cuda_device.hpp"

namespace emulator {
// `kind` is 'f', 'i', 'u', 'b' or 'V' (a struct of unlike members) and describes one component: a
// complex<float> is two of 'f' with 4 bytes. The layout is mirrored by ctypes in launch.py.
struct Parameter {
    char is_pointer, is_const, kind, component_size;
    int size;
};
struct Kernel {
    const char* name;
    void (*call)(void**);
    const Parameter* parameters;
    int parameter_count, launch_bound;
};

template <class T>
constexpr auto component_of() {
    if constexpr (requires(T v) { typename T::value_type; })
        return std::type_identity<typename T::value_type>{};
    else if constexpr (requires(T v) { v.x; })
        return std::type_identity<decltype(T::x)>{};
    else if constexpr (requires { &T::real; })
        return std::type_identity<decltype(T::real)>{};
    else
        return std::type_identity<T>{};
}

template <class T>
constexpr Parameter describe(bool is_pointer, bool is_const) {
    using C = typename decltype(component_of<T>())::type;
    char kind = 'V';
    if (std::is_same_v<C, bool>)
        kind = 'b';
    else if (std::is_floating_point_v<C>)
        kind = 'f';
    else if (std::is_integral_v<C>)
        kind = std::is_signed_v<C> ? 'i' : 'u';
    return {is_pointer, is_const, kind, char(kind == 'V' ? 1 : sizeof(C)), int(sizeof(T))};
}

template <class A>
constexpr Parameter parameter() {
    if constexpr (std::is_pointer_v<A>) {
        using Pointee = std::remove_pointer_t<A>;
        return describe<std::remove_cv_t<Pointee>>(true, std::is_const_v<Pointee>);
    } else {
        return describe<A>(false, true);
    }
}

template <auto function>
struct Entry;
template <class... A, void (*function)(A...)>
struct Entry<function> {
    static constexpr Parameter parameters[] = {parameter<std::remove_cv_t<A>>()..., {}};

    static void call(void** arguments) { unpack(arguments, std::index_sequence_for<A...>{}); }

    template <size_t... i>
    FASTIMG_EMULATOR_UNCHECKED static void unpack(void** arguments, std::index_sequence<i...>) {
        function(*static_cast<std::remove_cv_t<A>*>(arguments[i])...);
    }
    static constexpr Kernel kernel(const char* name, int launch_bound) {
        return {name, &call, parameters, int(sizeof...(A)), launch_bound};
    }
};
}  // namespace emulator
