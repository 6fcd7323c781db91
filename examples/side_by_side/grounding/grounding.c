/* Prints the boxes of objects and draws them over the image: grounding MODEL IMAGE PROMPT OUT.png */
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
        fprintf(stderr, "grounding: %s\n", message.data);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fputs("usage: grounding MODEL IMAGE PROMPT OUT.png\n", stderr);
        return 2;
    }
    mimo_vl_image *image, *drawn;
    mimo_vl_model *model;
    mimo_vl_session *session;
    mimo_vl_answer *answer;
    check(mimo_vl_image_from_path(argv[2], &image, &error));
    mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
    check(mimo_vl_prompt_add_image(prompt, image, &error));
    check(mimo_vl_prompt_add_text(prompt, argv[3], strlen(argv[3]), &error));
    check(mimo_vl_prompt_set_thinking(prompt, MIMO_VL_THINKING_OFF, &error));
    /* The grammar completes the JSON before max_tokens is reached. */
    mimo_vl_generate_options *options = mimo_vl_generate_options_new();
    mimo_vl_generate_options_set_max_tokens(options, 512);
    check(mimo_vl_generate_options_set_grammar(options, MIMO_VL_GRAMMAR_KIND_BOXES, "", 0, &error));
    check(mimo_vl_model_load(argv[1], NULL, &model, &error));
    check(mimo_vl_session_new(model, &session, &error));
    check(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    for (size_t index = 0; index < mimo_vl_answer_region_count(answer); index++) {
        const mimo_vl_region *region = mimo_vl_answer_region(answer, index);
        double box[4];
        mimo_vl_str label;
        if (mimo_vl_region_box(region, MIMO_VL_FRAME_PIXELS, box)) {
            mimo_vl_region_label(region, &label);
            fwrite(label.data, 1, label.len, stdout);
            printf(": %.0f %.0f %.0f %.0f\n", box[0], box[1], box[2], box[3]);
        }
    }
    check(mimo_vl_answer_draw_regions(answer, 0, image, &drawn, &error));
    check(mimo_vl_image_write_png(drawn, argv[4], &error));
    mimo_vl_image_free(drawn);
    mimo_vl_answer_free(answer);
    mimo_vl_session_free(session);
    mimo_vl_model_free(model);
    mimo_vl_generate_options_free(options);
    mimo_vl_prompt_free(prompt);
    mimo_vl_image_free(image);
    return 0;
}
