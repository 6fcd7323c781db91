/* Answers a prompt about an image without thinking: describe MODEL IMAGE PROMPT */
#include <iostream>

#include "mimo_vl.hpp"

int main(int count, char **arguments) {
    if (count != 4) {
        std::cerr << "usage: describe MODEL IMAGE PROMPT\n";
        return 2;
    }
    try {
        // The image comes before the text.
        mimo_vl::Prompt prompt;
        prompt.add(mimo_vl::Image::open(arguments[2])).add(arguments[3]).thinking(MIMO_VL_THINKING_OFF);
        mimo_vl::Model model(arguments[1]);
        mimo_vl::Session session(model);
        std::cout << session.ask(prompt).text() << '\n';
    } catch (const mimo_vl::Error &error) {
        std::cerr << "describe: " << error.what() << '\n';
        return 1;
    }
}
