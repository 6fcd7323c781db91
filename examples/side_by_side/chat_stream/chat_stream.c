/* Answers several prompts about an image and streams each answer: chat_stream MODEL IMAGE PROMPT... */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mimo_vl.h"

static mimo_vl_error *error;
static volatile sig_atomic_t interrupted;

/* The first Ctrl-C ends the program after the next token, a second one ends it at once. */
static void interrupt(int number) {
    interrupted = 1;
    signal(number, SIG_DFL);
}

/* Exits with the library's message unless the call succeeded. */
static void check(mimo_vl_status status) {
    if (status != MIMO_VL_STATUS_OK) {
        mimo_vl_str message;
        mimo_vl_error_message(error, &message);
        fprintf(stderr, "chat_stream: %s\n", message.data);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fputs("usage: chat_stream MODEL IMAGE PROMPT...\n", stderr);
        return 2;
    }
    mimo_vl_image *image;
    mimo_vl_model *model;
    mimo_vl_session *session;
    check(mimo_vl_image_from_path(argv[2], &image, &error));
    check(mimo_vl_model_load(argv[1], NULL, &model, &error));
    check(mimo_vl_session_new(model, &session, &error));
    signal(SIGINT, interrupt);
    for (int at = 3; at < argc && !interrupted; at++) {
        mimo_vl_stream *stream;
        mimo_vl_event_kind kind;
        mimo_vl_str text;
        mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
        /* Only the first prompt has the image; the session keeps it. */
        if (at == 3) {
            check(mimo_vl_prompt_add_image(prompt, image, &error));
        }
        check(mimo_vl_prompt_add_text(prompt, argv[at], strlen(argv[at]), &error));
        check(mimo_vl_session_stream(session, prompt, NULL, &stream, &error));
        do {
            check(mimo_vl_stream_next(stream, &kind, &text, &error));
            /* Prints the answer without its thinking, on one line. */
            for (size_t byte = 0; kind == MIMO_VL_EVENT_KIND_TEXT && byte < text.len; byte++) {
                putchar(text.data[byte] == '\n' ? ' ' : text.data[byte]);
            }
            fflush(stdout);
        } while (kind != MIMO_VL_EVENT_KIND_END && !interrupted);
        putchar('\n');
        mimo_vl_stream_free(stream);
        mimo_vl_prompt_free(prompt);
    }
    mimo_vl_session_free(session);
    mimo_vl_model_free(model);
    mimo_vl_image_free(image);
    if (interrupted) {
        fputs("chat_stream: interrupted\n", stderr);
        return 130;
    }
    return 0;
}
