/* Answers a prompt about images: ask IMAGE... PROMPT [--model PATH] [--no-think] [--draw FILE]
 *
 * The answer is streamed to the standard output, followed by its boxes and points in pixels of their image. An error is
 * one line on stderr and exit status 1; wrong usage is status 2.
 *
 *     c++ -std=c++17 examples/cpp/ask.cpp -o ask $(pkg-config --cflags --libs mimo_vl) */
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "mimo_vl.hpp"

static void print_region(const mimo_vl::Region &region) {
    const std::string name(region.label().value_or(region.text().value_or("")));
    if (auto box = region.box()) {
        std::printf("%s: %.1f %.1f %.1f %.1f\n", name.c_str(), (*box)[0], (*box)[1], (*box)[2], (*box)[3]);
    }
    for (const auto &point : region.points()) std::printf("%s: %.1f %.1f\n", name.c_str(), point[0], point[1]);
}

int main(int count, char **arguments) {
    std::string folder = "examples/models/mimo-vl-tiny", drawing;
    std::vector<const char *> words;
    bool thinking = true, usage = false;
    for (int index = 1; index < count; ++index) {
        const char *word = arguments[index];
        if (std::strcmp(word, "--no-think") == 0) {
            thinking = false;
        } else if ((std::strcmp(word, "--model") == 0 || std::strcmp(word, "--draw") == 0) && index + 1 < count) {
            (word[2] == 'm' ? folder : drawing) = arguments[++index];
        } else if (std::strncmp(word, "--", 2) == 0) {
            usage = true;
        } else {
            words.push_back(word);
        }
    }
    if (usage || words.empty()) {
        std::fprintf(stderr, "usage: ask IMAGE... PROMPT [--model PATH] [--no-think] [--draw FILE]\n");
        return 2;
    }
    try {
        std::vector<mimo_vl::Image> images;
        mimo_vl::Prompt prompt;
        for (size_t index = 0; index + 1 < words.size(); ++index) {
            images.push_back(mimo_vl::Image::open(words[index]));
            prompt.add(images.back());
        }
        prompt.add(words.back()).thinking(thinking ? MIMO_VL_THINKING_AUTO : MIMO_VL_THINKING_OFF);
        mimo_vl::Model model(folder);
        mimo_vl::Session session(model);
        mimo_vl::Stream stream = session.stream(prompt);
        for (const mimo_vl::Event &event : stream) {
            if (event.kind == MIMO_VL_EVENT_KIND_TEXT) {
                std::fwrite(event.text.data(), 1, event.text.size(), stdout);
                std::fflush(stdout);
            }
        }
        std::printf("\n");
        mimo_vl::Answer answer = stream.finish();
        for (const mimo_vl::Region &region : answer.regions()) print_region(region);
        if (!drawing.empty() && !images.empty()) {
            answer.draw(images.back(), images.size() - 1).write_png(drawing);
        }
        return 0;
    } catch (const mimo_vl::Error &error) {
        std::fprintf(stderr, "ask: %s\n", error.what());
        return 1;
    }
}
