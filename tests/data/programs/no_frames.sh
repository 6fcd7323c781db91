#!/bin/sh
# What ffprobe would say of a video without frames, which no program writes.
echo '{"streams": [{"avg_frame_rate": "5/1", "r_frame_rate": "5/1"}], "packets": []}'
