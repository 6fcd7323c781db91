/* Predicts the next GUI action for a goal from a screenshot: gui MODEL SCREENSHOT GOAL */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mimo_vl.h"

static const int32_t ACTION_SPACE[] = {MIMO_VL_ACTION_KIND_CLICK, MIMO_VL_ACTION_KIND_PRESS,
                                       MIMO_VL_ACTION_KIND_FINISHED};
static mimo_vl_error *error;

/* Exits with the library's message unless the call succeeded. */
static void check(mimo_vl_status status) {
    if (status != MIMO_VL_STATUS_OK) {
        mimo_vl_str message;
        mimo_vl_error_message(error, &message);
        fprintf(stderr, "gui: %s\n", message.data);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fputs("usage: gui MODEL SCREENSHOT GOAL\n", stderr);
        return 2;
    }
    mimo_vl_image *screenshot;
    mimo_vl_task *task;
    mimo_vl_model *model;
    mimo_vl_prompt *prompt;
    mimo_vl_session *session;
    mimo_vl_answer *answer;
    mimo_vl_action *action;
    check(mimo_vl_image_from_path(argv[2], &screenshot, &error));
    check(mimo_vl_task_new(argv[3], strlen(argv[3]), &task, &error));
    check(mimo_vl_task_set_action_space(task, ACTION_SPACE, 3, &error));
    check(mimo_vl_model_load(argv[1], NULL, &model, &error));
    check(mimo_vl_task_prompt(task, screenshot, model, &prompt, &error));
    check(mimo_vl_prompt_set_thinking(prompt, MIMO_VL_THINKING_OFF, &error));
    mimo_vl_generate_options *options = mimo_vl_generate_options_new();
    mimo_vl_generate_options_set_max_tokens(options, 200);
    check(mimo_vl_generate_options_set_task(options, task, &error));
    check(mimo_vl_session_new(model, &session, &error));
    check(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    check(mimo_vl_answer_action(answer, &action, &error));
    mimo_vl_action_kind kind = mimo_vl_action_kind_of(action);
    fputs(kind == ACTION_SPACE[0] ? "click" : kind == ACTION_SPACE[1] ? "press" : "finished", stdout);
    double point[2];
    if (mimo_vl_action_point(action, point)) {
        /* Rounds to nearest: points are never negative. */
        printf(" %ld %ld", (long)(point[0] + 0.5), (long)(point[1] + 0.5));
    }
    putchar('\n');
    mimo_vl_action_free(action);
    mimo_vl_answer_free(answer);
    mimo_vl_session_free(session);
    mimo_vl_generate_options_free(options);
    mimo_vl_prompt_free(prompt);
    mimo_vl_model_free(model);
    mimo_vl_task_free(task);
    mimo_vl_image_free(screenshot);
    return 0;
}
