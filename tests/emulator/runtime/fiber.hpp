// A fiber is a stack with a place to go on: what each CUDA thread runs on. Switching costs a few
// nanoseconds on x86-64; other processors use ucontext, which is slower by two system calls.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {
inline constexpr size_t stack_size = 64 * 1024, guard_size = 4096;

#if defined(__x86_64__)
struct Context {
    void* stack_pointer;
};
extern "C" void fastimg_emulator_switch(void** save, void* load);
asm(R"(.text
.weak fastimg_emulator_switch
.hidden fastimg_emulator_switch
.type fastimg_emulator_switch,@function
fastimg_emulator_switch:
  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
  mov %rsp,(%rdi); mov %rsi,%rsp
  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
  ret
)");
inline void switch_context(Context& from, Context& to) {
    fastimg_emulator_switch(&from.stack_pointer, to.stack_pointer);
}
inline void start_context(Context& context, char* stack, void (*body)()) {
    void** top = reinterpret_cast<void**>(stack + stack_size);
    *--top = nullptr;  // keeps the stack aligned as after a call
    *--top = reinterpret_cast<void*>(body);
    for (int saved_register = 0; saved_register < 6; ++saved_register) *--top = nullptr;
    context.stack_pointer = top;
}
#else
struct Context {
    ucontext_t saved;
};
inline void switch_context(Context& from, Context& to) { swapcontext(&from.saved, &to.saved); }
inline void start_context(Context& context, char* stack, void (*body)()) {
    getcontext(&context.saved);
    context.saved.uc_stack.ss_sp = stack;
    context.saved.uc_stack.ss_size = stack_size;
    context.saved.uc_link = nullptr;
    makecontext(&context.saved, body, 0);
}
#endif

// Below the stack lies an unreadable page, so that a kernel which overflows it faults.
inline char* allocate_stack() {
    void* pages = mmap(nullptr, stack_size + guard_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) abort();
    mprotect(pages, guard_size, PROT_NONE);
    return static_cast<char*>(pages) + guard_size;
}
}  // namespace emulator
