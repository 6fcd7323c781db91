/* Answers a prompt about an image without thinking: describe MODEL IMAGE PROMPT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mimo_vl.h"

static mimo_vl_error *error;

/* Exits with the library's message unless the call succeeded. */
static void check(mimo_vl_status status) {
    if (status != MIMO_VL_STATUS_OK) {
        mimo_vl_str message;
        mimo_vl_error_message(error, &message);
        fprintf(stderr, "describe: %s\n", message.data);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fputs("usage: describe MODEL IMAGE PROMPT\n", stderr);
        return 2;
    }
    mimo_vl_image *image;
    mimo_vl_model *model;
    mimo_vl_session *session;
    mimo_vl_answer *answer;
    mimo_vl_str text;
    check(mimo_vl_image_from_path(argv[2], &image, &error));
    /* The image comes before the text. */
    mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
    check(mimo_vl_prompt_add_image(prompt, image, &error));
    check(mimo_vl_prompt_add_text(prompt, argv[3], strlen(argv[3]), &error));
    check(mimo_vl_prompt_set_thinking(prompt, MIMO_VL_THINKING_OFF, &error));
    check(mimo_vl_model_load(argv[1], NULL, &model, &error));
    check(mimo_vl_session_new(model, &session, &error));
    check(mimo_vl_session_ask(session, prompt, NULL, &answer, &error));
    mimo_vl_answer_text(answer, &text);
    fwrite(text.data, 1, text.len, stdout);
    putchar('\n');
    mimo_vl_answer_free(answer);
    mimo_vl_session_free(session);
    mimo_vl_model_free(model);
    mimo_vl_prompt_free(prompt);
    mimo_vl_image_free(image);
    return 0;
}
