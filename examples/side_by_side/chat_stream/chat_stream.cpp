/* Answers several prompts about an image and streams each answer: chat_stream MODEL IMAGE PROMPT... */
#include <csignal>
#include <iostream>

#include "mimo_vl.hpp"

static volatile std::sig_atomic_t interrupted;

/* The first Ctrl-C ends the program after the next token, a second one ends it at once. */
extern "C" void interrupt(int number) {
    interrupted = 1;
    std::signal(number, SIG_DFL);
}

int main(int count, char **arguments) {
    if (count < 4) {
        std::cerr << "usage: chat_stream MODEL IMAGE PROMPT...\n";
        return 2;
    }
    try {
        mimo_vl::Image image = mimo_vl::Image::open(arguments[2]);
        mimo_vl::Model model(arguments[1]);
        mimo_vl::Session session(model);
        std::signal(SIGINT, interrupt);
        for (int at = 3; at < count && !interrupted; ++at) {
            mimo_vl::Prompt prompt;
            // Only the first prompt has the image; the session keeps it.
            if (at == 3) prompt.add(image);
            mimo_vl::Stream stream = session.stream(prompt.add(arguments[at]));
            for (const mimo_vl::Event &event : stream) {
                // Prints the answer without its thinking, on one line.
                if (event.kind == MIMO_VL_EVENT_KIND_TEXT) {
                    for (char byte : event.text) std::cout << (byte == '\n' ? ' ' : byte);
                    std::cout << std::flush;
                }
                if (interrupted) break;
            }
            std::cout << '\n';
        }
    } catch (const mimo_vl::Error &error) {
        std::cerr << "chat_stream: " << error.what() << '\n';
        return 1;
    }
    if (interrupted) {
        std::cerr << "chat_stream: interrupted\n";
        return 130;
    }
}
